"""From the counts of each partition to the classes table: added up, spread over groups, and numbered."""

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from data_manifest import schemas
from pipeline.cells import CLASS_KEY, group_index
from pipeline.settings import GroupSettings

PARTITIONS_AT_A_TIME = 100


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
