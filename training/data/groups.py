"""The groups that training takes, and their members, read from the groups' tables."""

import contextlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_manifest.console import as_ranges
from data_manifest.errors import UserError
from data_manifest.store.recipe import is_published, read_recipe
from data_manifest.tables import read_table, scan_table
from training.data.members import MEMBERS_FILE, Members

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Group:
    """A group and its size."""

    index: int
    num_classes: int
    num_images: int

    def __str__(self) -> str:
        return f"group {self.index}: {self.num_classes:,} classes, {self.num_images:,} images"


def choose_groups(
    groups_folder: Path, groups_num: int, batch_size: int, group_indices: Sequence[int] | None = None
) -> list[Group]:
    """Return the groups to train on, in the order in which they take turns.

    Those are `group_indices`, in the order given; without them the first `groups_num`, by index, that are not empty, or
    all of them, with a warning, if fewer are.

    Raises:
        UserError: There is no group, or not one that was asked for, or one of those has fewer classes than a batch has
            images.
    """
    sizes = (
        read_table(groups_folder, "classes", ["group_index", "num_images"])
        .group_by("group_index")
        .agg(pl.len().alias("num_classes"), pl.col("num_images").sum())
        .sort("group_index")
    )
    there = {row[0]: Group(*row) for row in sizes.iter_rows()}
    if not there:
        raise UserError(f"{groups_folder} has no class in any group: build groups with a lower --min-images-per-class")
    groups = _first_groups(there, groups_num) if group_indices is None else _named_groups(there, group_indices)
    for group in groups:
        _require_a_batch(group, batch_size)
    return groups


def _first_groups(there: Mapping[int, Group], groups_num: int) -> list[Group]:
    groups = list(there.values())[:groups_num]
    if len(groups) < groups_num:
        logger.warning("groups_num = %d, but only %d groups are not empty: training on those", groups_num, len(groups))
    return groups


def _named_groups(there: Mapping[int, Group], group_indices: Sequence[int]) -> list[Group]:
    if missing := [index for index in group_indices if index not in there]:
        raise UserError(
            f"groups = {','.join(map(str, group_indices))}: there is no class in {', '.join(map(str, missing))}; "
            f"groups that have classes: {as_ranges(there)}"
        )
    return [there[index] for index in group_indices]


def _require_a_batch(group: Group, batch_size: int) -> None:
    if group.num_classes < batch_size:
        raise UserError(
            f"{group}: a batch of {batch_size} shows {batch_size} classes; lower --batch-size to at most "
            f"{group.num_classes}, leave the group out (--groups-num, --groups), or build groups with more classes "
            "(a lower --min-images-per-class, a lower N or L, more images)"
        )


def scan_members(groups_folder: Path, group_index: int) -> pl.LazyFrame:
    """Return the images of one group for lazy reading."""
    return scan_table(groups_folder, "members").filter(pl.col("group_index") == group_index)


def read_members(groups_folder: Path, group_index: int, folder: Path) -> Members:
    """Return the images of one group, in a file in `folder` that is written anew; those of others are not read.

    Raises:
        UserError: The file cannot be written.
    """
    table = scan_members(groups_folder, group_index)
    file, unfinished = folder / MEMBERS_FILE, folder / f".{MEMBERS_FILE}.{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        table.select("class_index", "path").sink_ipc(
            unfinished, compression="uncompressed", compat_level=pl.CompatLevel.oldest()
        )
        unfinished.replace(file)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error}; free some space, or choose another folder") from error
    finally:
        with contextlib.suppress(OSError):  # it is gone where all went well
            unfinished.unlink()
    return Members(file)


def digest_of_groups(groups_folder: Path) -> str | None:
    """Return the digest of a published groups artifact, or None for a plain folder of tables."""
    return read_recipe(groups_folder)["digest"] if is_published(groups_folder) else None
