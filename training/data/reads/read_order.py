"""The order in which a training reads its images, known before it starts: samples are functions of their numbers.

An image is known by its row among the members of its group, which are sorted by class.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data_manifest.progress import Progress
from data_manifest.tables import read_table
from training.data.groups import Group, choose_groups
from training.data.sampling import EpochPlan, Numbers
from training.settings import TrainingSettings

NEVER = np.iinfo(np.int64).max  # the next use of an image that is not read again


@dataclass(frozen=True)
class EpochReads:
    """The reads of an epoch in their order: [num_samples] each."""

    epoch: int
    group: Group
    rows: Numbers  # of the group's members
    is_new: npt.NDArray[np.bool_]  # the first read of its image
    num_read: int  # images of the group that were read so far


class ReadOrder:
    """The planned reads of some epochs, in order; unreadable images, which the training replaces, are not known.

    Args:
        groups_folder: Folder of a groups artifact.
        training: The settings that decide the order: groups, batch size, iterations per epoch and seed.
        epochs: The epochs, numbered from 0.
        groups: The groups that the settings choose, if they are known.

    Raises:
        UserError: The groups do not allow training.
    """

    def __init__(
        self, groups_folder: Path, training: TrainingSettings, epochs: range, groups: list[Group] | None = None
    ) -> None:
        chosen = training.groups_num, training.batch_size, training.group_indices
        self.groups = groups or choose_groups(groups_folder, *chosen)
        self.training, self.epochs = training, epochs
        self._sizes = _class_sizes(groups_folder, self.groups)

    @property
    def reads_per_epoch(self) -> int:
        """Images per epoch."""
        return self.plan(self.epochs.start).num_samples

    def group(self, epoch: int) -> Group:
        """Return the group that an epoch trains on."""
        return self.groups[epoch % len(self.groups)]

    def plan(self, epoch: int) -> EpochPlan:
        """Return the plan of an epoch."""
        return EpochPlan.of(self.training, self.group(epoch).num_classes, epoch)

    def rows(self, epoch: int) -> Numbers:
        """Return the member rows that an epoch reads, in order: [num_samples]."""
        plan, sizes = self.plan(epoch), self._sizes[self.group(epoch).index]
        samples = np.arange(plan.num_samples)
        classes = plan.class_indices(samples)
        return (np.cumsum(sizes) - sizes)[classes] + plan.image_numbers(samples, sizes[classes])

    def __iter__(self) -> Iterator[EpochReads]:
        """Yield the reads, epoch by epoch."""
        seen = {group.index: np.zeros(group.num_images, bool) for group in self.groups}
        for epoch in self.epochs:
            group, rows = self.group(epoch), self.rows(epoch)
            is_new = np.zeros(len(rows), bool)
            is_new[np.unique(rows, return_index=True)[1]] = True
            is_new &= ~seen[group.index][rows]
            seen[group.index][rows] = True
            yield EpochReads(epoch, group, rows, is_new, int(seen[group.index].sum()))

    def next_uses(self) -> Numbers:
        """Return the number of the next read of the same image, counted over all epochs: [epochs, num_samples].

        `NEVER` where there is none. Takes 8 bytes per read.
        """
        following = {group.index: np.full(group.num_images, NEVER) for group in self.groups}
        found = np.empty((len(self.epochs), self.reads_per_epoch), np.int64)
        with Progress("ordering reads", len(self.epochs), "epochs") as progress:
            for turn in reversed(range(len(self.epochs))):
                epoch = self.epochs[turn]
                first = turn * self.reads_per_epoch
                found[turn] = find_next_uses(self.rows(epoch), first, following[self.group(epoch).index])
                progress.advance()
        return found


def find_next_uses(rows: Numbers, first_number: int, following: Numbers) -> Numbers:
    """Return the next use of each read of an epoch.

    Args:
        rows: The image of each read: [num_samples].
        first_number: The number of the epoch's first read.
        following: The first read of each image after the epoch; set to that from the epoch on.
    """
    by_row = np.argsort(rows, kind="stable")  # the reads of an image in a row, in their order
    begins = np.append(True, rows[by_row][1:] != rows[by_row][:-1])
    ends = np.append(begins[1:], True)
    numbers = first_number + by_row
    next_uses = np.empty(len(rows), np.int64)
    next_uses[by_row] = np.where(ends, following[rows[by_row]], np.roll(numbers, -1))
    following[rows[by_row[begins]]] = numbers[begins]
    return next_uses


def _class_sizes(groups_folder: Path, groups: list[Group]) -> dict[int, Numbers]:
    """Return the images per class of each group, in the order of the classes."""
    columns = ["group_index", "class_index", "num_images"]
    classes = read_table(groups_folder, "classes", columns).sort("class_index")
    wanted = {group.index: classes.filter(pl.col("group_index") == group.index) for group in groups}
    return {index: table["num_images"].to_numpy().astype(np.int64) for index, table in wanted.items()}
