"""Choose the groups to train on, read their members, and open the store of their images."""

import contextlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_manifest.console import as_ranges
from data_manifest.errors import UserError
from data_manifest.images.image_store import ImageReader, store_of
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.images.packs.open_packs import find_packs, open_packs
from data_manifest.store.recipe import is_published, read_recipe
from data_manifest.tables import read_table, scan_members
from training.data.members import MEMBERS_FILE, Members

LOOKUP_FILE = "packs.npy"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Group:
    """A group and its size."""

    index: int
    num_classes: int
    num_images: int

    def __str__(self) -> str:
        """Return the group in words, as checkpoints store it: changing this would make runs incompatible."""
        return f"group {self.index}: {self.num_classes:,} classes, {self.num_images:,} images"


def choose_groups(
    groups_folder: Path, groups_num: int, batch_size: int, group_indices: Sequence[int] | None = None
) -> list[Group]:
    """Return the groups to train on, in the order of the epochs.

    Those are `group_indices`, or else the first `groups_num` non-empty ones (a warning if there are fewer).

    Raises:
        UserError: All groups are empty, a requested one is, or a group has fewer classes than a batch.
    """
    sizes = (
        read_table(groups_folder, "classes", ["group_index", "num_images"])
        .group_by("group_index")
        .agg(pl.len().alias("num_classes"), pl.col("num_images").sum())
        .sort("group_index")
    )
    non_empty = {row[0]: Group(*row) for row in sizes.iter_rows()}
    if not non_empty:
        raise UserError(f"All groups in {groups_folder} are empty. Build groups with a lower --min-images-per-class.")
    if group_indices is None:
        groups = list(non_empty.values())[:groups_num]
        if len(groups) < groups_num:
            logger.warning("groups_num = %d, but only %d groups are non-empty: using those", groups_num, len(groups))
    else:
        groups = _named_groups(non_empty, group_indices)
    for group in groups:
        if group.num_classes < batch_size:
            raise UserError(
                f"Group {group.index} has {group.num_classes} classes, fewer than --batch-size {batch_size}. Lower "
                "--batch-size, leave the group out (--groups-num, --groups), or build groups with more classes (lower "
                "--min-images-per-class, N or L)."
            )
    return groups


def _named_groups(non_empty: Mapping[int, Group], group_indices: Sequence[int]) -> list[Group]:
    if missing := [index for index in group_indices if index not in non_empty]:
        raise UserError(
            f"groups = {','.join(map(str, group_indices))}: no classes in {', '.join(map(str, missing))}. Groups with "
            f"classes: {as_ranges(non_empty)}"
        )
    return [non_empty[index] for index in group_indices]


def read_members(groups_folder: Path, group_index: int, folder: Path) -> Members:
    """Write the images of one group to the members file in `folder`, and return them memory-mapped.

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
        raise UserError(f"Cannot write {file}: {error}. Free some space, or choose another folder.") from error
    finally:
        with contextlib.suppress(OSError):  # already renamed on success
            unfinished.unlink()
    return Members(file)


def training_store(
    images_folder: ImagesFolder, packs: ImagesFolder | None, groups_folder: Path, groups: Sequence[Group], folder: Path
) -> ImageReader:
    """Return where the images of the groups are read: their folder, or packs, with a lookup table in `folder`.

    Raises:
        UserError: The packs do not have the images of these groups, or are damaged.
    """
    if packs is None:
        return store_of(images_folder)
    return open_packs(find_packs(packs), groups_folder, [group.index for group in groups], folder / LOOKUP_FILE)


def digest_of_groups(groups_folder: Path) -> str | None:
    """Return the digest of a published groups artifact, or None for a plain folder of tables."""
    return read_recipe(groups_folder)["digest"] if is_published(groups_folder) else None
