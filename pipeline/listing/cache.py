"""What earlier looks at a data set found, kept so that what is unchanged need not be looked at again.

This is a cache: it decides nothing but how long a listing takes, and may be removed at any time.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError
from data_manifest.schemas import LISTED_FOLDERS
from data_manifest.tables import write_table
from pipeline.list_file import digest_of_list
from pipeline.listing.folder_scan import Folder, is_settled

CACHE = ".listings"
DIGEST_RULE = 3  # of `digest_of_list`; what was kept under another rule is not taken


def cache_folder(artifacts: Path, origin: Path) -> Path:
    """Return where what is known of a folder or a list file is kept."""
    return artifacts / CACHE / hashlib.sha256(os.fsencode(origin.absolute())).hexdigest()[:16]


def read_folders(cache: Path) -> dict[bytes, Folder]:
    """Return the folders that `write_folders` kept; none where that is missing or broken."""
    try:
        rows = pl.read_parquet(cache / "folders.parquet").select(LISTED_FOLDERS.names)
    except (OSError, pl.exceptions.PolarsError):
        return {}
    return {
        path: Folder(modified_ns, changed_ns, listed_ns, count, digest, tuple(children), hidden, tuple(skipped))
        for path, modified_ns, changed_ns, listed_ns, count, digest, children, hidden, skipped in rows.iter_rows()
    }


def write_folders(folders: Mapping[bytes, Folder], cache: Path) -> None:
    """Keep what a scan found."""
    rows = [(path, *(getattr(folder, name) for name in LISTED_FOLDERS.names[1:])) for path, folder in folders.items()]
    frame = pl.DataFrame(rows, schema=pl.Schema(LISTED_FOLDERS), orient="row")
    with contextlib.suppress(OSError):  # as on a disk that is full or cannot be written to
        cache.mkdir(parents=True, exist_ok=True)
        write_table(frame, cache / "folders.parquet", LISTED_FOLDERS)


def known_digest_of_list(list_file: Path, cache: Path) -> str:
    """Return the digest of a list file's content, from the cache if the file is certainly the same.

    Raises:
        UserError: The file cannot be read.
    """
    kept, state, now_ns = cache / "list.json", state_of(list_file), time.time_ns()
    try:
        known = json.loads(kept.read_text())
        if (
            known["rule"] == DIGEST_RULE
            and known["state"] == list(state)
            and is_settled(state[:2], known["looked_at_ns"])
        ):
            return str(known["digest"])
    except (OSError, ValueError, LookupError, TypeError):  # not there, or broken
        pass
    digest = digest_of_list(list_file)
    with contextlib.suppress(OSError):  # as on a disk that is full or cannot be written to
        cache.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"rule": DIGEST_RULE, "state": state, "looked_at_ns": now_ns, "digest": digest}))
    return digest


def state_of(file: Path) -> tuple[int, ...]:
    """Return what changes with a file's content: its times of modification and of change, its size, and which it is.

    Raises:
        UserError: There is no such file.
    """
    try:
        found = file.stat()
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
