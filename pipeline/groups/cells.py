"""The grouping rule (CosPlace paper, section 3.2): which class an image belongs to, and which group a class."""

import numpy as np
import polars as pl

from data_manifest.hemisphere import hemisphere
from pipeline.groups.settings import GroupSettings
from pipeline.metadata.years import taken_in

CLASS_KEY = ("utm_zone", "hemisphere", "cell_east", "cell_north", "heading_bin")


def class_key(settings: GroupSettings) -> tuple[pl.Expr, ...]:
    """Return the class of manifest rows: UTM zone, hemisphere, cell and heading bin.

    Zone and hemisphere are a part of it because their metres start anew: two zones never share a class. The bin is
    null for an image without a heading, unless one bin holds the full turn.
    """
    heading_bin = _bin("heading", settings.alpha) if settings.uses_headings else pl.lit(0)
    return (
        pl.col("utm_zone"),
        hemisphere(),
        _bin("utm_east", settings.M).cast(pl.Int64).alias("cell_east"),
        _bin("utm_north", settings.M).cast(pl.Int64).alias("cell_north"),
        heading_bin.cast(pl.Int32).alias("heading_bin"),
    )


def count_classes(images: pl.LazyFrame, settings: GroupSettings) -> pl.DataFrame:
    """Return how many manifest rows, of the years asked for, each class has; `heading_bin` is null without heading."""
    keys = images.filter(taken_in(settings.years)).select(class_key(settings))
    return keys.group_by(CLASS_KEY).agg(num_images=pl.len().cast(pl.Int32)).collect()


def _bin(column: str, width: float) -> pl.Expr:
    """Return floor(column / width), null where the column is.

    Polars turns a division by a constant into a multiplication, which for M = 49 puts 49 metres into cell 0 (1 / 49 is
    rounded down); numpy divides.
    """

    def divide(values: pl.Series) -> pl.Series:
        return pl.Series(values.name, np.floor(values.to_numpy() / width)).fill_nan(None)

    return pl.col(column).map_batches(divide, return_dtype=pl.Float64, is_elementwise=True)


def group_index(settings: GroupSettings) -> pl.Expr:
    """Return the group of a class: (u * N + v) * L + w with u, v the cell modulo N, w the heading bin modulo L.

    The modulo is that of mathematics, from 0 up for negative cells too.
    """
    u, v = pl.col("cell_east") % settings.N, pl.col("cell_north") % settings.N
    w = pl.col("heading_bin") % settings.L
    return ((u * settings.N + v) * settings.L + w).cast(pl.Int32).alias("group_index")
