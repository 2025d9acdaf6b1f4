"""Shuffle the paths of a data set into partitions that depend only on the set of paths, not on their order.

Each block of paths is sorted by leaf and appended to one spill file; a partition is one slice of each block.
"""

import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl

from data_manifest.errors import UserError
from data_manifest.progress import Progress
from pipeline.execution.executor import run_all
from pipeline.listing.leaves import HASH_BITS, NUM_LEAVES, LeafRange, Leaves, cut_into_ranges, hash_lines, path_hashes
from pipeline.listing.lines import Lines, flat_bytes, join_lines
from pipeline.listing.list_images import Block, Listing, Sums, Wanted

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
        self._lock = threading.Lock()
        more = join_lines(more_paths)
        known = None if more else listing.leaves
        self._is_spilled = known is None
        self._leaves = known or Leaves()
        if known is None:
            blocks = listing.blocks()
            sums = self._spill([*blocks, *([lambda: iter((more,))] if more else [])], self._leaves)
            listing.keep(sums[: len(blocks)])
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
            found = Leaves()
            self._spill(self._listing.blocks(wanted), found, wanted)
            if ((found.sums != self._leaves.sums) & wanted).any():
                raise UserError(f"{self._listing.origin} has changed while it was being read. Run again.")
        return self._find_slices(partitions)

    def _spill(self, blocks: Sequence[Block], leaves: Leaves, wanted: Wanted | None = None) -> list[Sums]:
        """Spill the paths of blocks, only those of wanted leaves if given, and add them to `leaves`.

        Return rows and sums per leaf of each block; None for one with too few rows per leaf.
        """
        self._blocks = []
        with (
            self._paths.open("wb") as paths,
            self._index.open("wb") as index,
            Progress(f"sorting {self._listing.origin.name}", len(blocks), "blocks") as progress,
        ):

            def spill(block: Block) -> Sums:
                sums = None
                for content in filter(len, block()):
                    sums = self._spill_lines(content, leaves, wanted, paths, index)
                return sums if sums is not None and len(sums) * MIN_ROWS_PER_LEAF <= sums["rows"].sum() else None

            return list(run_all(spill, blocks, progress))

    def _spill_lines(
        self, content: bytes, leaves: Leaves, wanted: Wanted | None, paths: BinaryIO, index: BinaryIO
    ) -> pl.DataFrame:
        """Spill lines sorted by leaf; return rows and sums per leaf."""
        hashed = hash_lines(content)
        order, sums = hashed.order(), hashed.sum_up().sort("leaf")
        if wanted is not None:
            order = order[wanted[hashed.leaves[order]]]
            sums = sums.filter(pl.Series(wanted).gather(sums["leaf"]))
        lines, offsets = flat_bytes(hashed.lines.gather(order))
        of_leaves = np.empty(len(sums), INDEX)
        of_leaves["leaf"], of_leaves["end"] = sums["leaf"], offsets[sums["rows"].cum_sum()]
        with self._lock:
            leaves.add(sums)
            self._blocks.append((paths.tell(), len(sums)))
            index.write(of_leaves.data)
            paths.write(lines.data)
        return sums

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
