"""Shuffle the paths of a data set into partitions that depend only on the set of paths, not on their order.

Each block of paths is sorted by leaf and appended to one spill file; a partition is one slice of each block.
"""

import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data_manifest.errors import UserError
from data_manifest.progress import Progress
from pipeline.execution.executor import usable_cores
from pipeline.listing.leaves import (
    HASH_BITS,
    LEAF_SUMS,
    NUM_LEAVES,
    LeafRange,
    Leaves,
    cut_into_ranges,
    hash_lines,
    path_hashes,
)
from pipeline.listing.lines import Lines, flat_bytes, join_lines
from pipeline.listing.list_images import Block, Listing, Wanted

ROWS_PER_PARTITION = 250_000
MIN_ROWS_PER_LEAF = 16  # in a block whose sums are kept: those of a list in random order would be too large
INDEX = np.dtype([("leaf", np.uint32), ("end", np.int64)])  # of a leaf in a block: where its lines end


@dataclass(frozen=True)
class SpilledPaths:
    """The paths of one partition; can be sent to another process.

    Args:
        leaves: The partition.
        file: The spill file.
        slices: Start and length of its lines in bytes: [num_slices, 2].
        escapes_newlines: As in `Listing`.
    """

    leaves: LeafRange
    file: Path
    slices: npt.NDArray[np.int64]
    escapes_newlines: bool

    def read(self) -> Lines:
        """Return the paths in any order, including repeats."""
        content = np.empty(self.slices[:, 1].sum(), np.uint8)
        end = 0
        with self.file.open("rb", buffering=0) as file:
            for start, length in self.slices.tolist():
                if os.preadv(file.fileno(), [content[end : end + length].data], start) != length:
                    raise OSError(f"{self.file} is shorter than it was")
                end += length
        lines = Lines.split(content)
        if bits := self.leaves.path_bits:
            lines = lines.filter(path_hashes(lines.with_newlines()) >> np.uint64(HASH_BITS - len(bits)) == int(bits, 2))
        return lines.with_escaped_newlines() if self.escapes_newlines else lines


class Shuffle:
    """The partitions of a data set.

    Args:
        listing: The images.
        scratch: Folder for the spill file, from which partitions are read.
        rows: Maximum number of rows per partition.
        more_paths: Paths in addition to those of the listing.

    Raises:
        UserError: The images cannot be listed.
    """

    def __init__(
        self, listing: Listing, scratch: Path, rows: int = ROWS_PER_PARTITION, more_paths: Iterable[bytes] = ()
    ) -> None:
        self._listing = listing
        scratch = scratch.absolute()  # for processes that work in other folders
        self._paths, self._index = scratch / "paths", scratch / "leaves"
        self._blocks: list[tuple[int, int]] = []  # where each starts in the spill file, and its number of leaves
        self._end = 0  # of the spill file
        self._sums: dict[Block, pl.DataFrame] = {}
        self._lock = threading.Lock()
        more = join_lines(more_paths)
        self._is_spilled = bool(more) or listing.leaves is None
        if more or listing.leaves is None:
            self._leaves = self._spill([*listing.blocks(), lambda: iter((more,))])
            listing.keep(self._sums)
        else:
            self._leaves = listing.leaves
        self.partitions = list(cut_into_ranges(self._leaves, rows))

    def paths(self, partitions: Sequence[LeafRange]) -> list[SpilledPaths]:
        """Return the paths of some partitions; of a tree, only the folders that contain them are listed.

        Raises:
            UserError: The images cannot be listed, or have changed.
        """
        if not self._is_spilled and partitions:
            wanted = np.zeros(NUM_LEAVES, bool)
            for each in partitions:
                wanted[each.begin : each.end] = True
            found = self._spill(self._listing.blocks(wanted), wanted)
            if not np.array_equal(found.sums[:, wanted], self._leaves.sums[:, wanted]):
                raise UserError(f"{self._listing.origin} has changed while it was being read. Run again.")
        return self._find_slices(partitions)

    def _spill(self, blocks: Sequence[Block], wanted: Wanted | None = None) -> Leaves:
        """Spill the paths of blocks, only those of wanted leaves if given; return rows and sums per leaf."""
        leaves = Leaves()
        self._blocks, self._end = [], 0
        with ExitStack() as stack:
            threads = stack.enter_context(ThreadPoolExecutor(usable_cores()))
            progress = stack.enter_context(Progress(f"sorting {self._listing.origin.name}", len(blocks), "blocks"))
            paths, index = (stack.enter_context(file.open("wb", buffering=0)) for file in (self._paths, self._index))

            def work(block: Block) -> None:
                for content in filter(len, block()):
                    sums = self._spill_block(content, leaves, wanted, paths.fileno(), index.fileno())
                    if wanted is None and len(sums) * MIN_ROWS_PER_LEAF <= sums["rows"].sum():
                        self._sums[block] = sums

            for _ in threads.map(work, blocks):
                progress.advance()
        return leaves

    def _spill_block(
        self, content: bytes, leaves: Leaves, wanted: Wanted | None, paths: int, index: int
    ) -> pl.DataFrame:
        """Spill the paths of a block sorted by leaf; return rows and sums per leaf, as `LEAF_SUMS`."""
        hashed = hash_lines(content)
        order = hashed.order()
        if wanted is not None:
            order = order[wanted[hashed.leaves[order]]]
            if not len(order):
                return pl.DataFrame(schema=LEAF_SUMS)
        leaf = hashed.leaves[order]
        first = np.flatnonzero(np.append(True, leaf[1:] != leaf[:-1]))
        rows = np.diff(np.append(first, len(leaf)))
        lines, offsets = flat_bytes(hashed.lines.gather(order))
        of_leaves = np.empty(len(first), INDEX)
        of_leaves["leaf"], of_leaves["end"] = leaf[first], offsets[first + rows]
        sums = np.add.reduceat(hashed.hashes[:, order], first, axis=1)
        with self._lock:
            leaves.add(leaf[first], rows, sums)
            start, self._end = self._end, self._end + len(lines)
            self._blocks.append((start, len(first)))
            _write(index, of_leaves.tobytes())
            _write(paths, lines.data)
        return pl.DataFrame([leaf[first], rows, *sums], LEAF_SUMS)

    def _find_slices(self, partitions: Sequence[LeafRange]) -> list[SpilledPaths]:
        begins, ends = ([getattr(each, border) for each in partitions] for border in ("begin", "end"))
        first, last = np.empty((2, len(self._blocks), len(partitions)), np.int64)
        row = 0
        for block, (start, count) in enumerate(self._blocks):
            leaves = np.fromfile(self._index, INDEX, count, offset=row * INDEX.itemsize)
            row += count
            borders = start + np.append(0, leaves["end"])
            first[block], last[block] = (borders[np.searchsorted(leaves["leaf"], each)] for each in (begins, ends))
        slices = np.stack((first, last - first), axis=-1)
        return [
            SpilledPaths(leaves, self._paths, found[found[:, 1] > 0], self._listing.escapes_newlines)
            for leaves, found in zip(partitions, slices.swapaxes(0, 1), strict=True)
        ]


def _write(descriptor: int, content: bytes | memoryview) -> None:
    """Write all bytes; a full disk writes some of them before it raises an error."""
    while len(content):
        content = content[os.write(descriptor, content) :]
