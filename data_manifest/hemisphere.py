"""The hemisphere of a UTM position: with the zone number it makes the frame in which metres can be compared."""

import polars as pl

FIRST_NORTHERN_BAND = "N"


def hemisphere() -> pl.Expr:
    """Return "N" or "S" for manifest rows: from the band, else from the latitude, else null.

    The bands run from C (80 degrees south) to X; N and above are north of the equator. The hemisphere is all that a
    frame needs of the band: a UTM zone's metres run on from one band into the next.
    """
    northern = pl.coalesce(pl.col("utm_band") >= FIRST_NORTHERN_BAND, pl.col("latitude") >= 0)
    return pl.when(northern).then(pl.lit("N")).when(~northern).then(pl.lit("S")).alias("hemisphere")
