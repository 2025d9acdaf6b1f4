"""The reads of the processes of one machine: in their order, with the next use of each image.

An image is identified by its row among the images of all trained groups, one group after the other.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from data_manifest.tables import group_file
from training.data.reads.read_order import NEVER, ReadOrder, find_next_uses
from training.data.sampling import Numbers

HORIZON = 32  # epochs on a group within which next uses are looked up
UNKNOWN = -1  # size and time of an image that is missing


@dataclass(frozen=True)
class EpochFiles:
    """The reads of an epoch [num_reads], and the files of its group [num_images]."""

    first: int  # number of the first read, counted over all epochs
    offset: int  # row of the group's first image
    rows: Numbers
    next_uses: Numbers
    paths: pl.Series
    image_bytes: Numbers  # UNKNOWN if missing
    modified_ns: Numbers

    @property
    def end(self) -> int:
        """Number of the first read after the epoch."""
        return self.first + len(self.rows)

    def sizes(self, rows: Numbers) -> Numbers:
        """Return the bytes of images of the group."""
        return self.image_bytes[rows - self.offset]


class MachineReads:
    """The reads of this machine.

    Args:
        order: The reads of all processes.
        states: Folder with the recorded states of the images, one file per group.
        changed: Today's states of the images that changed since: path, bytes, modified_ns.
        share: The part of each batch that this machine reads.
    """

    def __init__(self, order: ReadOrder, states: Path, changed: pl.DataFrame, share: range) -> None:
        self._order, self._states, self._changed, self._share = order, states, changed, share
        sizes = [group.num_images for group in order.groups]
        self.num_images = sum(sizes)
        self.offsets: list[int] = (np.cumsum(sizes) - sizes).tolist()
        self.epochs, self.num_groups = order.epochs, len(order.groups)
        self.reads_per_batch, self.batches_per_epoch = len(share), order.training.iterations_per_epoch
        self.reads_per_epoch = self.reads_per_batch * self.batches_per_epoch

    def rows(self, epoch: int) -> Numbers:
        """Return the rows of the images that an epoch reads, in their order: [reads_per_epoch]."""
        batches = self._order.rows(epoch).reshape(self.batches_per_epoch, -1)
        rows: Numbers = batches[:, self._share.start : self._share.stop].ravel() + self.group_rows(epoch).start
        return rows

    def group_rows(self, epoch: int) -> slice:
        """Return the rows of the images of an epoch's group."""
        offset = self.offsets[epoch % self.num_groups]
        return slice(offset, offset + self._order.group(epoch).num_images)

    def first_uses(self, epoch: int) -> Numbers:
        """Return the first read, from an epoch on, of each image of its group: [num_images]; NEVER if there is none."""
        turns = range(epoch, self.epochs.stop, self.num_groups)[:HORIZON]
        group = self.group_rows(epoch)
        found = np.full(group.stop - group.start, NEVER)
        for turn in reversed(turns):
            first = turn * self.reads_per_epoch
            rows = self.rows(turn)[::-1] - group.start  # of the reads of an image, the last that is assigned stays
            found[rows] = np.arange(first + len(rows) - 1, first - 1, -1)
        return found

    def files(self, epoch: int) -> pl.DataFrame:
        """Return today's files of an epoch's group, in the order of its images: path, bytes, modified_ns."""
        files = pl.read_parquet(self._states / group_file(self._order.group(epoch).index), glob=False)
        if not self._changed.is_empty():
            files = files.update(self._changed, on="path", include_nulls=True)
        return files.with_columns(pl.col("bytes", "modified_ns").fill_null(UNKNOWN))

    def load(self, epoch: int) -> tuple[EpochFiles, Numbers]:
        """Return an epoch's reads and files, and the first read of each image of its group from the epoch on."""
        first, rows, group = epoch * self.reads_per_epoch, self.rows(epoch), self.group_rows(epoch)
        first_uses = self.first_uses(epoch + self.num_groups)
        next_uses = find_next_uses(rows - group.start, first, first_uses)
        files = self.files(epoch)
        sizes, times = (files[name].to_numpy() for name in ("bytes", "modified_ns"))
        return EpochFiles(first, group.start, rows, next_uses, files["path"], sizes, times), first_uses
