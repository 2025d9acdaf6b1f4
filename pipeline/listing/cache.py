"""Cache of folder scans and of list files: it saves time only, and may be removed at any time.

Of a list file, it has the digests of its blocks, and the rows and hash sums per leaf of each block.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa

from data_manifest.images.file_states import is_settled
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.progress import Progress
from data_manifest.schemas import LISTED_FOLDERS
from data_manifest.tables import read_notes, write_table
from pipeline.execution.executor import run_all
from pipeline.listing.folder_scan import LEAVES_OF_FOLDERS, Folder, Scan
from pipeline.listing.leaves import LEAF_SUMS, hash_check, hash_lines
from pipeline.listing.read_list import ListBlock, find_blocks, read_block, reading

CACHE, CHECK_NOTE = ".listings", "hash"
FOLDERS, DIGESTS, SUMS = "folders.parquet", "list.parquet", "blocks.parquet"
BLOCKS = {"begin": pl.Int64, "end": pl.Int64, "digest": pl.Binary}
DIGEST_RULE = 4  # raise it when `find_blocks` finds other blocks in the same list
MIN_KNOWN = 0.5  # share of blocks; with fewer, reading the whole list once takes less time


def cache_folder(artifacts: Path, origin: ImagesFolder) -> Path:
    """Return the cache folder of a folder of images or a list file."""
    return artifacts / CACHE / hashlib.sha256(os.fsencode(str(origin.absolute()))).hexdigest()[:16]


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


def known_blocks(list_file: Path, cache: Path) -> list[ListBlock]:
    """Return the blocks of a list file, from the cache if the file is certainly the same.

    Raises:
        UserError: The file cannot be read.
    """
    now_ns = time.time_ns()
    with reading(list_file):
        state = list_file.stat()
    times = (state.st_mtime_ns, state.st_ctime_ns)
    check = f"{DIGEST_RULE} {times} {state.st_size} {state.st_ino}"
    known = read_cached(cache / DIGESTS, BLOCKS, check)
    if known is not None:
        return list(map(ListBlock._make, known.iter_rows()))
    blocks = find_blocks(list_file)
    if is_settled(times, now_ns):
        write_cached(pl.DataFrame(blocks, BLOCKS, orient="row"), cache / DIGESTS, check)
    return blocks


def known_sums(list_file: Path, blocks: Sequence[ListBlock], cache: Path) -> pl.DataFrame | None:
    """Return rows and hash sums per leaf with the `number` of each block; None if the cache has too few blocks.

    Only blocks that the cache does not have are hashed.

    Raises:
        UserError: The file cannot be read, or has changed.
    """
    known = read_cached(cache / SUMS, ("block", *LEAF_SUMS), hash_check())
    if known is None:
        return None
    digests = set(known["block"].unique())
    new = list({block.digest: block for block in blocks if block.digest not in digests}.values())
    if len(new) > len(blocks) * (1 - MIN_KNOWN):
        return None
    with Progress("hashing changed blocks", len(new), "blocks") as progress:
        sums = pl.concat([known, *run_all(partial(_sum_up, list_file), new, progress)])
    numbers = pl.DataFrame({"block": [block.digest for block in blocks], "number": range(len(blocks))})
    if new:
        write_cached(sums.join(numbers, on="block", how="semi"), cache / SUMS, hash_check())
    return numbers.join(sums, on="block")


def _sum_up(list_file: Path, block: ListBlock) -> pl.DataFrame:
    found = [hash_lines(content).sum_up() for content in read_block(list_file, block) if content]
    return _label(block, found[0] if found else pl.DataFrame(schema=LEAF_SUMS))


def write_sums(blocks: Sequence[ListBlock], sums: Sequence[pl.DataFrame | None], cache: Path) -> None:
    """Cache the rows and hash sums per leaf of blocks, as `LEAF_SUMS`; None of a block that is not kept."""
    found = [_label(block, each) for block, each in zip(blocks, sums, strict=True) if each is not None]
    if found:
        write_cached(pl.concat(found), cache / SUMS, hash_check())


def _label(block: ListBlock, sums: pl.DataFrame) -> pl.DataFrame:
    return sums.select(pl.lit(block.digest).alias("block"), *LEAF_SUMS)
