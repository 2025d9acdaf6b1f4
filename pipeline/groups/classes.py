"""The grouping rule (CosPlace paper, section 3.2): the class of an image, the group of a class, and their numbers."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from data_manifest.hemisphere import hemisphere
from pipeline.groups.settings import GroupSettings
from pipeline.metadata.years import has_year_in

FRAME = ("utm_zone", "hemisphere")
CELL = ("cell_east", "cell_north")
CLASS_KEY = (*FRAME, *CELL, "heading_bin")


def class_key(settings: GroupSettings) -> tuple[pl.Expr, ...]:
    """Return the class of manifest rows: UTM zone, hemisphere, cell and heading bin.

    Zone and hemisphere are part of the key because each zone has its own origin. The heading bin is null for an image
    without a heading, unless one bin covers the full turn.
    """
    heading_bin = _bin("heading", settings.alpha) if settings.uses_headings else pl.lit(0)
    return (
        pl.col("utm_zone"),
        hemisphere(),
        _bin("utm_east", settings.M).cast(pl.Int64).alias("cell_east"),
        _bin("utm_north", settings.M).cast(pl.Int64).alias("cell_north"),
        heading_bin.cast(pl.Int32).alias("heading_bin"),
    )


def _bin(column: str, width: float) -> pl.Expr:
    """Return floor(column / width), null where the column is null.

    NumPy divides because polars multiplies by 1 / width, which for M = 49 puts 49 metres into cell 0.
    """

    def divide(values: pl.Series) -> pl.Series:
        return pl.Series(values.name, np.floor(values.to_numpy() / width)).fill_nan(None)

    return pl.col(column).map_batches(divide, return_dtype=pl.Float64, is_elementwise=True)


def group_index(settings: GroupSettings) -> pl.Expr:
    """Return the group of a class: (u * N + v) * L + w with u, v the cell modulo N, w the heading bin modulo L.

    The modulo is never negative, also for negative cells.
    """
    u, v = pl.col("cell_east") % settings.N, pl.col("cell_north") % settings.N
    w = pl.col("heading_bin") % settings.L
    return ((u * settings.N + v) * settings.L + w).cast(pl.Int32).alias("group_index")


def count_classes(images: pl.LazyFrame, settings: GroupSettings) -> pl.DataFrame:
    """Return `num_images` per class of manifest rows; those of other years than `settings.years` are left out."""
    keys = images.filter(has_year_in(settings.years)).select(class_key(settings))
    return keys.group_by(CLASS_KEY).agg(num_images=pl.len().cast(pl.Int32)).collect()


def complete_frames(counts: pl.DataFrame) -> pl.DataFrame:
    """Return class counts with unknown zones and hemispheres taken from images of the same cell.

    Images without a zone get the only known zone of their cell, if there is exactly one; then images without a
    hemisphere get the only known hemisphere of their cell and zone. The order of the rows is kept. The counts must be
    those of all partitions, so that the result does not depend on the partitions.
    """
    unknown = counts.filter(pl.any_horizontal(pl.col(FRAME).is_null())).select(CELL).unique()
    if unknown.is_empty():
        return counts
    frames = counts.select(*FRAME, *CELL).join(unknown, on=CELL, how="semi").unique()
    frames = frames.with_columns(_only_known("utm_zone", CELL).alias("zone"))
    frames = frames.with_columns(_only_known("hemisphere", ("zone", *CELL)).alias("half"))
    completed = counts.join(frames, on=(*FRAME, *CELL), how="left", nulls_equal=True, maintain_order="left")
    known = pl.coalesce("zone", "utm_zone").alias("utm_zone"), pl.coalesce("half", "hemisphere").alias("hemisphere")
    return completed.with_columns(known).drop("zone", "half")


def _only_known(column: str, within: Sequence[str]) -> pl.Expr:
    """Return a column with its nulls replaced by the only other value within the same cell, if there is only one."""
    least, most = pl.col(column).min().over(within), pl.col(column).max().over(within)
    return pl.coalesce(column, pl.when(least == most).then(least))


def sum_counts(counts: pl.DataFrame) -> pl.DataFrame:
    """Return class counts summed over all partitions, one row per class; a `row` column becomes lists."""
    sums = pl.col("num_images").cast(pl.Int64).sum(), pl.col("^members_hash$").sum()
    return counts.group_by(CLASS_KEY).agg(*sums, pl.col("^row$"))


def number_classes(counted: pl.DataFrame, settings: GroupSettings) -> pl.DataFrame:
    """Return the classes with enough images, sorted by group and key, with `group_index` and `class_index`.

    `counted` has one row per class, as from `sum_counts`.
    """
    enough = pl.col("num_images") >= settings.min_images_per_class
    ordered = (
        counted.filter(enough & pl.col("heading_bin").is_not_null())
        .with_columns(group_index(settings))
        .sort("group_index", *CLASS_KEY)
    )
    class_index = pl.int_range(pl.len(), dtype=pl.Int32).over("group_index").alias("class_index")
    return ordered.with_columns(class_index, pl.col("num_images").cast(pl.Int32))
