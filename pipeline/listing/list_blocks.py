"""Blocks of a list file, and the cache of the rows and hash sums per leaf of each."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import xxhash

from data_manifest.progress import Progress
from pipeline.execution.executor import usable_cores
from pipeline.listing.cache import read_cached, write_cached
from pipeline.listing.leaves import LEAF_SUMS, hash_lines
from pipeline.listing.read_list import clean_lines, read_bytes, split_list

BLOCKS = "blocks.parquet"
SUMS_OF_BLOCKS = ("block", *LEAF_SUMS)
MIN_KNOWN = 0.5  # share of blocks; with fewer, reading the whole list once takes less time


@dataclass(eq=False)
class ListBlock:
    """Consecutive lines of a list file; a call yields them cleaned."""

    list_file: Path
    begin: int
    end: int
    digest: bytes = b""  # of its bytes, once it has been read

    def __call__(self) -> Iterator[bytes]:
        """Yield the lines, cleaned."""
        yield clean_lines(self._read())

    def read_digest(self) -> bytes:
        """Read the block and return its digest."""
        self._read()
        return self.digest

    def sum_up(self) -> pl.DataFrame:
        """Return rows and hash sums per leaf, as `SUMS_OF_BLOCKS`."""
        (content,) = self()
        sums = hash_lines(content).sum_up() if content else pl.DataFrame(schema=LEAF_SUMS)
        return self.label(sums)

    def label(self, sums: pl.DataFrame) -> pl.DataFrame:
        """Add the block's digest to its `LEAF_SUMS`, and return `SUMS_OF_BLOCKS`."""
        return sums.select(pl.lit(self.digest).alias("block"), *LEAF_SUMS)

    def _read(self) -> bytes:
        content = read_bytes(self.list_file, self.begin, self.end)
        self.digest = xxhash.xxh3_128_digest(content)
        return content


def blocks_of(list_file: Path) -> list[ListBlock]:
    """Return the blocks of a list file."""
    return [ListBlock(list_file, *borders) for borders in split_list(list_file)]


def sum_up_blocks(blocks: Sequence[ListBlock], cache: Path) -> pl.DataFrame | None:
    """Return the sums of blocks with the `number` of each; None if the cache has too few of them.

    Only blocks that the cache does not have are hashed.
    """
    cached = read_cached(cache / BLOCKS, SUMS_OF_BLOCKS)
    if cached is None:
        return None
    known = set(cached["block"].unique())
    with (
        ThreadPoolExecutor(usable_cores()) as threads,
        Progress("looking for changed blocks", len(blocks), "blocks") as progress,
    ):
        digests = []
        for digest in threads.map(ListBlock.read_digest, blocks):
            digests.append(digest)
            progress.advance()
        new = [block for block in {each.digest: each for each in blocks}.values() if block.digest not in known]
        if len(new) > len(blocks) * (1 - MIN_KNOWN):
            return None
        sums = pl.concat([cached, *threads.map(ListBlock.sum_up, new)])
    numbers = pl.DataFrame({"block": digests, "number": range(len(blocks))})
    if new:
        write_blocks(sums.join(numbers, on="block", how="semi"), cache)
    return numbers.join(sums, on="block")


def write_blocks(sums: pl.DataFrame, cache: Path) -> None:
    """Write the sums of blocks, if the disk allows."""
    write_cached(sums, cache / BLOCKS, sums.to_arrow().schema)
