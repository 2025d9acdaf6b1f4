"""Write the order of reads: as a table, or as a list of files for rsync."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_manifest import schemas
from data_manifest.errors import UserError, check_output, writing_in
from data_manifest.inspect.bars import table
from data_manifest.progress import Progress
from data_manifest.store.files import writing_whole
from data_manifest.store.find import find_artifact, read_recipe_of
from data_manifest.tables import read_member_paths, write_frames
from training.data.reads.read_order import NEVER, EpochReads, ReadOrder
from training.settings import NO_SEED, TrainingSettings

TABLE, LIST = ".parquet", ".txt"
COMMENT_OR_SPLIT = r"^[#;]|[\r\n]"  # rsync takes # and ; for comments
MAX_EPOCHS_SHOWN = 20


def write_reads(groups: Path, training: TrainingSettings, epochs: range, output: Path) -> dict[str, Any]:
    """Write the order in which a training would read its images, and return the counts as JSON types.

    The memory needed is 8 bytes per read for a table, 9 bytes per image of all groups, and the paths of one group.

    Args:
        groups: A groups artifact.
        training: The settings that decide the order: groups, batch size, iterations per epoch and seed.
        epochs: The epochs, numbered from 0.
        output: `.parquet`: a table of all reads; `.txt`: the paths of all images read, in the order of their first
            read, one per line. Replaced if it exists.

    Raises:
        UserError: The settings or groups do not allow training, or the file cannot be written.
    """
    if training.seed == NO_SEED:
        raise UserError("seed = -1: each start draws a new seed, so the order is not known. Give --seed 0 or more.")
    if output.suffix not in (TABLE, LIST):
        raise UserError(f"--output {output}: give a name that ends with {TABLE} (all reads) or {LIST} (files to copy)")
    check_output(output)
    folder = find_artifact(groups)
    read_recipe_of(folder, "reads", ("groups",))
    order, counts = ReadOrder(folder, training, epochs), list[dict[str, int]]()
    with writing_in(output.parent, "--output"):
        if output.suffix == TABLE:
            write_frames(_as_frames(folder, order, counts), output, schemas.READS)
        else:
            _write_list(_as_new_paths(folder, order, counts), output)
    return {
        "output": str(output),
        "reads": len(epochs) * order.reads_per_epoch,
        "images": sum(each["new"] for each in counts),
        "epochs": counts,
    }


def _as_frames(groups_folder: Path, order: ReadOrder, counts: list[dict[str, int]]) -> Iterator[pl.DataFrame]:
    """Yield the rows of the table, epoch by epoch."""
    next_uses = order.next_uses()
    for turn, (reads, paths) in enumerate(_with_paths(groups_folder, order, counts)):
        columns = {"epoch": reads.epoch, "group": reads.group.index, "path": paths.gather(reads.rows)}
        numbers = {"sample": np.arange(len(reads.rows)), "next_use": next_uses[turn]}
        yield pl.DataFrame(columns | numbers).with_columns(next_use=pl.col("next_use").replace(NEVER, None))


def _as_new_paths(groups_folder: Path, order: ReadOrder, counts: list[dict[str, int]]) -> Iterator[pl.Series]:
    """Yield the paths of the images that each epoch reads for the first time."""
    for reads, paths in _with_paths(groups_folder, order, counts):
        yield paths.gather(reads.rows[reads.is_new])


def _with_paths(
    groups_folder: Path, order: ReadOrder, counts: list[dict[str, int]]
) -> Iterator[tuple[EpochReads, pl.Series]]:
    """Yield the reads of each epoch with the paths of its group, and append its counts."""
    with Progress("writing reads", len(order.epochs), "epochs") as progress:
        for reads in order:
            yield reads, read_member_paths(groups_folder, reads.group.index)
            counts.append(_count(reads))
            progress.advance()


def _count(reads: EpochReads) -> dict[str, int]:
    return {
        "epoch": reads.epoch,
        "group": reads.group.index,
        "group_images": reads.group.num_images,
        "read": len(np.unique(reads.rows)),
        "new": int(reads.is_new.sum()),
        "read_so_far": reads.num_read,
    }


def _write_list(paths_of_epochs: Iterable[pl.Series], output: Path) -> None:
    """Write paths as lines of a file that appears whole or not at all.

    Raises:
        UserError: A path cannot be in such a list.
    """
    with writing_whole(output) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        for paths in paths_of_epochs:
            wrong = paths.filter(paths.str.contains(COMMENT_OR_SPLIT))
            if len(wrong):
                raise UserError(
                    f"{wrong[0]!r}: cannot be in a list of files, where # and ; start a comment and a line break ends "
                    f"a name. Rename the file or folder, or write --output reads{TABLE}"
                )
            file.writelines(f"{path}\n" for path in paths)


def show_reads(facts: dict[str, Any]) -> str:
    """Return the result of `write_reads` as text."""
    shown, hidden = facts["epochs"][:MAX_EPOCHS_SHOWN], len(facts["epochs"]) - MAX_EPOCHS_SHOWN
    titles = ("epoch", "group", "images of the group", "read in the epoch", "read so far")
    rows = [
        (
            *(f"{each[name]:,}" for name in ("epoch", "group", "group_images")),
            *(f"{each[name] / each['group_images']:.0%}" for name in ("read", "read_so_far")),
        )
        for each in shown
    ]
    more = [f"  and {hidden:,} more epochs: see --format json"] if hidden > 0 else []
    title = f"{facts['output']}: {facts['reads']:,} reads of {facts['images']:,} images"
    return "\n".join([title, *table([titles, *rows], left=()), *more])
