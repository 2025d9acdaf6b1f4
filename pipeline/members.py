"""The members of all groups, from a manifest's partitions to a file or more for each group, through the disk.

41 million members with their paths are 5 GB, and they come in the order of folders, not of groups. So each partition's
members are sorted by group and put aside, in one Arrow file a partition, cut into bundles: so many consecutive groups
as make a few hundred thousand members. Then each bundle is gathered from all partitions, sorted, and written.
"""

import uuid
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from data_manifest.schemas import MEMBERS
from data_manifest.tables import write_table
from pipeline.cells import CLASS_KEY, class_key, count_classes
from pipeline.settings import GroupSettings
from pipeline.years import taken_in

ROWS_PER_FILE = 250_000  # about; a larger group has several files
NUMBERS = ("group_index", "class_index", "piece", "bundle")
COLUMNS = ("group_index", "class_index", "piece", "path", "year")
CLASS_NUMBER = pl.col("group_index").cast(pl.Int64) * 2**32 + pl.col("class_index")  # in the order of group and class


def plan_files(classes: pl.DataFrame, rows: int = ROWS_PER_FILE) -> pl.DataFrame:
    """Return the classes, in their order, with `piece`, which file of its group one is in, and `bundle`.

    A bundle is what is gathered at a time: files that follow each other, with about `rows` members together.
    """
    before_in_group = pl.col("num_images").cum_sum().over("group_index") - pl.col("num_images")
    before = pl.col("num_images").cum_sum() - pl.col("num_images")
    file = pl.struct("group_index", "piece").rle_id()
    return (
        classes.with_columns(pl.col("num_images").cast(pl.Int64))
        .with_columns(piece=(before_in_group // rows).cast(pl.Int32), bundle=(before // rows).cast(pl.Int32))
        .with_columns(bundle=pl.col("bundle").first().over(file))
    )


@dataclass(frozen=True)
class Putting:
    """The members of one partition of the manifest, to be put aside.

    Args:
        manifest_file: The partition's Parquet file.
        classes: Its classes: `CLASS_KEY` and `NUMBERS`.
        settings: The grouping.
        aside: The Arrow file to write.
    """

    manifest_file: Path
    classes: pl.DataFrame
    settings: GroupSettings
    aside: Path


def count_classes_of(manifest_file: Path, settings: GroupSettings) -> pl.DataFrame:
    """Return how many images of each class a partition has; `heading_bin` is null for those without a heading."""
    return count_classes(pl.scan_parquet(manifest_file, glob=False), settings)


def put_aside(job: Putting) -> dict[int, int]:
    """Write a partition's members to an Arrow file, a batch a bundle; return the batch of each bundle.

    Two machines may do this at once, if one was thought dead.
    """
    taken = pl.scan_parquet(job.manifest_file, glob=False).filter(taken_in(job.settings.years))
    images = taken.select("path", "year", *class_key(job.settings)).collect()
    members = images.join(job.classes, on=CLASS_KEY, how="inner", nulls_equal=True).sort("bundle", maintain_order=True)
    bundles = members["bundle"].rle().struct.unnest()
    table = members.select(COLUMNS).to_arrow(compat_level=pl.CompatLevel.oldest())
    unfinished = job.aside.with_name(f".{job.aside.name}.{uuid.uuid4().hex}")
    with pa.OSFile(str(unfinished), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        start = 0
        for length in bundles["len"]:
            for batch in table.slice(start, length).combine_chunks().to_batches():
                writer.write_batch(batch)
            start += length
    unfinished.replace(job.aside)
    return {bundle: batch for batch, bundle in enumerate(bundles["value"])}


def write_bundle(places: list[tuple[Path, int]], folder: Path) -> None:
    """Write the files of a bundle from its batches, each given by its Arrow file and its number there."""
    members = in_order(pl.concat([_read_batch(*place) for place in places]))
    for (group, piece), part in members.group_by("group_index", "piece", maintain_order=True):
        write_table(part.drop("piece"), folder / f"group-{group:06d}-{piece:04d}.parquet", MEMBERS)


def in_order(members: pl.DataFrame) -> pl.DataFrame:
    """Return members in the order of group, class and path.

    Partitions are sorted by path, and most classes are in one. So they are sorted by class, which is quick, and by path
    only those whose paths are not in order then.
    """
    members = _by_class(members)
    follows = CLASS_NUMBER.diff() == 0
    wrong = members.select(pl.when(follows & (pl.col("path") < pl.col("path").shift())).then(CLASS_NUMBER))
    classes = wrong.to_series().drop_nulls().unique()
    if classes.is_empty():
        return members
    is_wrong = members.select(CLASS_NUMBER.is_in(classes.implode())).to_series()
    return _by_class(pl.concat((members.filter(~is_wrong), members.filter(is_wrong).sort("path"))))


def _by_class(members: pl.DataFrame) -> pl.DataFrame:
    """Return members by group and class, those of a class in the order they had: by one number, which is quicker."""
    order = members.with_row_index("row").select("row", number=CLASS_NUMBER).sort("number", maintain_order=True)["row"]
    return members.select(pl.all().gather(order))


def _read_batch(aside: Path, number: int) -> pl.DataFrame:
    with pa.memory_map(str(aside)) as file, pa.ipc.open_file(file) as reader:
        frame = pl.from_arrow(reader.get_batch(number))
    assert isinstance(frame, pl.DataFrame)
    return frame
