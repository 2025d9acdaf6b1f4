"""From the counts of each partition to the classes table: completed, added up, spread over groups, and numbered."""

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from data_manifest import schemas
from pipeline.groups.cells import CLASS_KEY, group_index
from pipeline.groups.settings import GroupSettings

PARTITIONS_AT_A_TIME = 100
CELL = ("cell_east", "cell_north")
FRAME_OF_CELL = ("utm_zone", "hemisphere", *CELL)


def cells_with_unknown_frames(keys: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return the cells with an image of unknown zone or hemisphere, from frames with `FRAME_OF_CELL`."""
    unknown = pl.any_horizontal(pl.col("utm_zone", "hemisphere").is_null())
    return pl.concat(each.filter(unknown).select(CELL) for each in keys).unique()


def complete_frames(counted: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """Return the counts of each partition with unknown zones and hemispheres taken from images of the same cell.

    Images without a zone get the one known zone of their cell, if it has only one; then images without a hemisphere get
    the one known hemisphere of their cell and zone. All partitions must be given, so that the result does not depend on
    how images are partitioned. Rows and their order are kept.
    """
    cells = cells_with_unknown_frames(counted)
    if cells.is_empty():
        return list(counted)
    frames = pl.concat(each.select(FRAME_OF_CELL).join(cells, on=CELL, how="semi") for each in counted).unique()
    frames = frames.with_columns(_one_known("utm_zone", CELL).alias("zone"))
    frames = frames.with_columns(_one_known("hemisphere", ("zone", *CELL)).alias("half"))
    completed = frames.filter(
        pl.col("zone").ne_missing(pl.col("utm_zone")) | pl.col("half").ne_missing(pl.col("hemisphere"))
    )
    return list(counted) if completed.is_empty() else [_with_frames(each, completed) for each in counted]


def _one_known(column: str, within: Sequence[str]) -> pl.Expr:
    """Return a column with nulls replaced by its only other value within the same cell, if there is only one."""
    least, most = pl.col(column).min().over(within), pl.col(column).max().over(within)
    return pl.coalesce(column, pl.when(least == most).then(least))


def _with_frames(counted: pl.DataFrame, frames: pl.DataFrame) -> pl.DataFrame:
    found = counted.join(frames, on=FRAME_OF_CELL, how="left", nulls_equal=True, maintain_order="left")
    completed = found.with_columns(
        utm_zone=pl.coalesce("zone", "utm_zone"), hemisphere=pl.coalesce("half", "hemisphere")
    )
    return completed.drop("zone", "half")


def add_up(counted: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return the class keys with `num_images` over all partitions."""
    return pl.concat(counted).group_by(CLASS_KEY).agg(pl.col("num_images").cast(pl.Int64).sum())


def number_classes(counted: pl.DataFrame, settings: GroupSettings) -> pl.DataFrame:
    """Return the classes table: each class with its group, numbered within it in the order of the keys."""
    ordered = (
        counted.filter(pl.col("heading_bin").is_not_null())
        .with_columns(group_index(settings))
        .sort("group_index", *CLASS_KEY)
    )
    class_index = pl.int_range(pl.len(), dtype=pl.Int32).over("group_index").alias("class_index")
    return ordered.with_columns(class_index, pl.col("num_images").cast(pl.Int32)).select(schemas.CLASSES.names)


def classes_of_each(counted: Sequence[pl.DataFrame], classes: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Give those classes that each partition has images of, with `start`: how many of its images come before.

    Many partitions are looked up at a time, because each time goes through all classes.

    Args:
        counted: The counts of each partition, in the order in which its images are put aside.
        classes: `CLASS_KEY` and any other columns but `num_images`, which is given for the partition.
    """
    for begin in range(0, len(counted), PARTITIONS_AT_A_TIME):
        part = counted[begin : begin + PARTITIONS_AT_A_TIME]
        number, images = pl.lit(begin, pl.Int32), pl.col("num_images").cast(pl.Int64)
        keys = pl.concat(
            each.select(*CLASS_KEY, "num_images", start=images.cum_sum() - images, partition=number + index)
            for index, each in enumerate(part)
        )
        found = keys.join(classes, on=CLASS_KEY, nulls_equal=True).drop(CLASS_KEY)
        by_partition = found.partition_by("partition", as_dict=True)
        yield from (by_partition.get((begin + index,), found.clear()) for index in range(len(part)))
