"""File states of the groups to pack, and the shards that their images are cut into."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tarfile import BLOCKSIZE
from typing import NamedTuple

import polars as pl

from data_manifest.images.file_states import PartitionStates, stat_images, summarise_states
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.images.packs.pack_files import padded
from data_manifest.progress import Progress
from data_manifest.tables import read_member_paths, scan_table
from pipeline.packs.write_shard import Shard

MEGABYTE = 1_000_000


class GroupStates(NamedTuple):
    """Summary of the files of a group's images, and their total size in bytes."""

    group: int
    states: PartitionStates
    total_bytes: int


def stat_groups(groups_folder: Path, groups: Sequence[int], images_folder: ImagesFolder) -> tuple[GroupStates, ...]:
    """Return summaries of the files of the groups' images, at the cost of one stat per image.

    Raises:
        UserError: The folder is missing, or `stat_images` fails.
    """
    members = scan_table(groups_folder, "members").filter(pl.col("group_index").is_in(list(groups)))
    total = members.select(pl.len()).collect().item()
    found = list[GroupStates]()
    with Progress("checking image files", total, "images") as progress:
        for group in groups:
            states = stat_images(read_member_paths(groups_folder, group), images_folder, progress)
            found.append(GroupStates(group, summarise_states(states), int(states["bytes"].sum())))
    return tuple(found)


def plan_shards(group: int, states: pl.DataFrame, shard_megabytes: int) -> Iterator[Shard]:
    """Yield the shards of a group's images, cut where one would grow above its size; missing images are left out.

    The sizes are those of the files, so shards of smaller copies are smaller.
    """
    present = states.drop_nulls()
    limit, begin, filled, number = shard_megabytes * MEGABYTE, 0, 0, 0
    for row, size in enumerate(present["bytes"]):
        taken = BLOCKSIZE + padded(size)
        if filled and filled + taken > limit:
            yield Shard(group, number, present[begin:row])
            begin, filled, number = row, 0, number + 1
        filled += taken
    if filled:
        yield Shard(group, number, present[begin:])
