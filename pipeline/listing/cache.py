"""Cache of folder scans and digests of list files: it saves time only, and may be removed at any time."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pyarrow as pa

from data_manifest.errors import UserError
from data_manifest.schemas import LISTED_FOLDERS
from data_manifest.tables import read_notes, write_table
from pipeline.listing.folder_scan import LEAVES_OF_FOLDERS, Folder, Scan, is_settled
from pipeline.listing.leaves import hash_check
from pipeline.listing.read_list import digest_of_list

CACHE = ".listings"
FOLDERS, HASH_NOTE = "folders.parquet", "hash"
DIGEST_RULE = 3  # raise it when `digest_of_list` changes


def cache_folder(artifacts: Path, origin: Path) -> Path:
    """Return the cache folder of a folder of images or a list file."""
    return artifacts / CACHE / hashlib.sha256(os.fsencode(origin.absolute())).hexdigest()[:16]


def read_scan(cache: Path) -> Scan:
    """Return the scan that `write_scan` wrote; an empty one if it is missing, broken, or of other code."""
    rows = read_cached(cache / FOLDERS, LISTED_FOLDERS.names)
    if rows is None:
        return Scan()
    in_leaves = list(LEAVES_OF_FOLDERS)[1:]
    in_folders = rows.drop(in_leaves).iter_rows()
    folders = {
        path: Folder(modified_ns, changed_ns, listed_ns, count, tuple(children), hidden, tuple(skipped))
        for path, modified_ns, changed_ns, listed_ns, count, children, hidden, skipped in in_folders
    }
    leaves = rows.filter(pl.col("leaf").list.len() > 0).select(LEAVES_OF_FOLDERS.names()).explode(in_leaves)
    return Scan(folders, leaves.cast(LEAVES_OF_FOLDERS))


def write_scan(scan: Scan, cache: Path) -> None:
    """Write a scan, if the disk allows."""
    names = [name for name in LISTED_FOLDERS.names if name not in LEAVES_OF_FOLDERS or name == "path"]
    rows = [(path, *(getattr(folder, name) for name in names[1:])) for path, folder in scan.folders.items()]
    schema = pl.Schema(pl.DataFrame(LISTED_FOLDERS.empty_table()).schema)
    folders = pl.DataFrame(rows, schema={name: schema[name] for name in names}, orient="row")
    leaves = scan.leaves.group_by("path").agg(pl.all())
    frame = folders.join(leaves, on="path", how="left", maintain_order="left")
    frame = frame.with_columns(pl.col(name).fill_null([]) for name in list(LEAVES_OF_FOLDERS)[1:])
    write_cached(frame, cache / FOLDERS, LISTED_FOLDERS)


def read_cached(file: Path, columns: Iterable[str]) -> pl.DataFrame | None:
    """Return a table of the cache; None if it is missing, broken, or its paths were hashed by other code."""
    try:
        if read_notes(file).get(HASH_NOTE) == hash_check():
            return pl.read_parquet(file, glob=False).select(columns)
    except (OSError, ValueError, pl.exceptions.PolarsError):
        pass
    return None


def write_cached(frame: pl.DataFrame, file: Path, schema: pa.Schema) -> None:
    """Write a table of the cache, unless the disk is full or read-only."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_table(frame, file, schema, notes={HASH_NOTE: hash_check()})


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
