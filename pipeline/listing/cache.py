"""Cache of folder scans and of list files: it saves time only, and may be removed at any time."""

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pyarrow as pa

from data_manifest.schemas import LISTED_FOLDERS
from data_manifest.tables import read_notes, write_table
from pipeline.listing.folder_scan import LEAVES_OF_FOLDERS, Folder, Scan
from pipeline.listing.leaves import LEAF_SUMS, hash_check

CACHE, FOLDERS, CHECK_NOTE = ".listings", "folders.parquet", "hash"


def cache_folder(artifacts: Path, origin: Path) -> Path:
    """Return the cache folder of a folder of images or a list file."""
    return artifacts / CACHE / hashlib.sha256(os.fsencode(origin.absolute())).hexdigest()[:16]


def read_scan(cache: Path) -> Scan:
    """Return the scan that `write_scan` wrote; an empty one if it is missing, broken, or of other code."""
    rows = read_cached(cache / FOLDERS, LISTED_FOLDERS.names, hash_check())
    if rows is None:
        return Scan()
    folders = {path: Folder(*rest) for path, *rest in rows.drop(*LEAF_SUMS).iter_rows()}
    leaves = rows.filter(pl.col("leaf").list.len() > 0).select(LEAVES_OF_FOLDERS.names()).explode(*LEAF_SUMS)
    return Scan(folders, leaves.cast(LEAVES_OF_FOLDERS))


def write_scan(scan: Scan, cache: Path) -> None:
    """Write a scan, if the disk allows."""
    schema = pl.DataFrame(LISTED_FOLDERS.empty_table()).drop(*LEAF_SUMS).schema
    rows = [(path, *vars(folder).values()) for path, folder in scan.folders.items()]
    folders = pl.DataFrame(rows, schema, orient="row")
    frame = folders.join(scan.leaves.group_by("path").agg(pl.all()), on="path", how="left", maintain_order="left")
    write_cached(frame.with_columns(pl.col(*LEAF_SUMS).fill_null([])), cache / FOLDERS, hash_check(), LISTED_FOLDERS)


def read_cached(file: Path, columns: Iterable[str], check: str) -> pl.DataFrame | None:
    """Return a table of the cache; None if it is missing or broken, or was written with another check."""
    try:
        if read_notes(file).get(CHECK_NOTE) == check:
            return pl.read_parquet(file, glob=False).select(*columns)
    except (OSError, ValueError, pl.exceptions.PolarsError):
        pass
    return None


def write_cached(frame: pl.DataFrame, file: Path, check: str, schema: pa.Schema | None = None) -> None:
    """Write a table of the cache, unless the disk is full or read-only.

    Args:
        frame: The table.
        file: Its file.
        check: What the table depends on.
        schema: Its schema; that of the frame by default.
    """
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_table(frame, file, schema or frame.to_arrow().schema, notes={CHECK_NOTE: check})
