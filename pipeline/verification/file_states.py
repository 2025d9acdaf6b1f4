"""Files as they lie on the disk, unopened: what is known of them is known for as long as size and time are the same."""

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from data_manifest.artefacts import DIGEST_LENGTH
from data_manifest.errors import UserError
from pipeline.texts import feed
from pipeline.tree import TRUSTED_AFTER_NS

STATE = ("path", "bytes", "modified_ns")
GONE = -1
NAMED_HEIF = r"(?i)\.hei[cf]$"


@dataclass(frozen=True)
class Seen:
    """The images of a partition as they lie on the disk: how many there are, how many of them are there, a digest."""

    images: int
    there: int
    digest: str
    heif: bool = False  # whether any of them is named as HEIC


def look_at_files(manifest_file: Path, images_folder: Path) -> Seen:
    """Return what the images of a file of a manifest are like, unopened."""
    return seen_in(states_in(manifest_file, images_folder))


def states_in(manifest_file: Path, images_folder: Path) -> pl.DataFrame:
    """Return path, size and modification time of each image, null where it is not there.

    A file that was written a moment ago could be written again without another time: then a moment is waited.

    Raises:
        FileNotFoundError: There is no images folder.
        UserError: The system does not tell.
    """
    images_folder.stat()
    paths = pl.read_parquet(manifest_file, columns=["path"], glob=False)["path"]
    while True:
        looked_ns = time.time_ns()
        states = [state_of(f"{images_folder}/{path}") for path in paths]
        young = [looked_ns - modified for _, modified in states if modified and looked_ns >= modified]
        left_ns = TRUSTED_AFTER_NS - min(young, default=TRUSTED_AFTER_NS)
        if left_ns <= 0:
            break
        time.sleep(left_ns / 1e9)
    schema = {"bytes": pl.Int64, "modified_ns": pl.Int64}
    return pl.DataFrame(states, schema=schema, orient="row").insert_column(0, paths)


def state_of(path: str) -> tuple[int | None, int | None]:
    """Return size and modification time of a file, None where there is none.

    Raises:
        UserError: The system does not tell.
    """
    try:
        state = os.stat(path)  # noqa: PTH116 -- a Path takes as long as the system
    except (FileNotFoundError, NotADirectoryError):
        return None, None
    except OSError as error:
        raise UserError(f"{path}: cannot be looked at: {error.strerror}") from error
    return state.st_size, state.st_mtime_ns


def seen_in(states: pl.DataFrame) -> Seen:
    """Return what the states of files come to."""
    content = hashlib.sha256()
    feed(content, states["path"].cast(pl.Binary))
    for name in STATE[1:]:
        content.update(np.ascontiguousarray(states[name].fill_null(GONE).to_numpy()).data)
    there = len(states) - states["bytes"].null_count()
    heif = states["path"].str.contains(NAMED_HEIF).any()
    return Seen(len(states), there, content.hexdigest()[:DIGEST_LENGTH], heif)
