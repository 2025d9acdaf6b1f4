"""Caches of a list file's blocks: their digests, and the rows and hash sums per leaf of each."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import polars as pl

from data_manifest.images.file_states import is_settled
from data_manifest.progress import Progress
from pipeline.execution.executor import run_all
from pipeline.listing.cache import read_cached, write_cached
from pipeline.listing.leaves import LEAF_SUMS, hash_check, hash_lines
from pipeline.listing.read_list import ListBlock, find_blocks, read_block, reading

DIGESTS, SUMS = "list.parquet", "blocks.parquet"
BLOCKS = {"begin": pl.Int64, "end": pl.Int64, "digest": pl.Binary}
DIGEST_RULE = 4  # raise it when `find_blocks` finds other blocks in the same list
SUMS_OF_BLOCKS = ("block", *LEAF_SUMS)
MIN_KNOWN = 0.5  # share of blocks; with fewer, reading the whole list once takes less time


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
    known = read_cached(cache / SUMS, SUMS_OF_BLOCKS, hash_check())
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
