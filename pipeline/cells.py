"""The grouping rule (CosPlace paper, section 3.2): which class an image belongs to, and which group a class."""

import polars as pl

from data_manifest.hemisphere import hemisphere
from pipeline.settings import GroupSettings

CLASS_KEY = ("utm_zone", "hemisphere", "cell_east", "cell_north", "heading_bin")


def class_key(settings: GroupSettings) -> tuple[pl.Expr, ...]:
    """Return the class of manifest rows: UTM zone, hemisphere, cell and heading bin.

    Zone and hemisphere are a part of it because their metres start anew: two zones never share a class. The bin is
    null for an image without a heading, unless one bin holds the full turn.
    """
    heading_bin = (pl.col("heading") / settings.alpha).floor() if settings.uses_headings else pl.lit(0)
    return (
        pl.col("utm_zone"),
        hemisphere(),
        (pl.col("utm_east") / settings.M).floor().cast(pl.Int64).alias("cell_east"),
        (pl.col("utm_north") / settings.M).floor().cast(pl.Int64).alias("cell_north"),
        heading_bin.cast(pl.Int32).alias("heading_bin"),
    )


def group_index(settings: GroupSettings) -> pl.Expr:
    """Return the group of a class: (u * N + v) * L + w with u, v the cell modulo N, w the heading bin modulo L.

    The modulo is that of mathematics, from 0 up for negative cells too.
    """
    u, v = pl.col("cell_east") % settings.N, pl.col("cell_north") % settings.N
    w = pl.col("heading_bin") % settings.L
    return ((u * settings.N + v) * settings.L + w).cast(pl.Int32).alias("group_index")
