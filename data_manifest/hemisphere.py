"""The hemisphere of a UTM position: metres are comparable only within one zone and hemisphere."""

import polars as pl

FIRST_NORTHERN_BAND = "N"


def hemisphere() -> pl.Expr:
    """Return "N" or "S" for manifest rows, from the band, else from the latitude, else null.

    The bands run from C (80 degrees south) to X; N and above are north of the equator.
    """
    northern = pl.coalesce(pl.col("utm_band") >= FIRST_NORTHERN_BAND, pl.col("latitude") >= 0)
    return pl.when(northern).then(pl.lit("N")).when(~northern).then(pl.lit("S")).alias("hemisphere")
