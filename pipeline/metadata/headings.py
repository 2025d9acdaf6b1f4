"""Headings as names, tables and photos write them, brought to [0, 360) degrees."""

import polars as pl

from pipeline.groups.settings import FULL_TURN

MINUS_1 = -1.0
# Negated headings go down to -360, headings with a quarter turn added up to 450. Usual marks of "unknown" are outside:
# 511, 999, 9999, 32767, 65535, -999, -9999.
LOWEST, HIGHEST = -FULL_TURN, 450.0
NOISE = 1e-6  # degrees: a heading less than this below 0 is a rounding error
NEGATIVE = "below 0, turned by 360 degrees"
MINUS_1_UNKNOWN = "-1, taken as unknown"
MINUS_1_TURNED = "-1, taken as 359 degrees because other headings are negative"
OUTSIDE = f"outside {LOWEST:g} to {HIGHEST:g} degrees, taken as unknown"
ODD_HEADINGS = (NEGATIVE, MINUS_1_UNKNOWN, MINUS_1_TURNED, OUTSIDE)


def heading_in_range(heading: pl.Expr, negative_headings: bool = False) -> pl.Expr:
    """Return headings in [0, 360) degrees; null where the number stands for "unknown".

    Args:
        heading: Degrees as written, finite.
        negative_headings: Whether the data set has other negative headings than -1, which is 359 degrees then.
    """
    turned = pl.when(_in_full_turn(heading)).then(heading).otherwise(heading % FULL_TURN)
    in_range = pl.when(_in_full_turn(turned)).then(turned).otherwise(0.0)  # the modulo may round up to 360
    known = heading.is_between(LOWEST, HIGHEST)
    if not negative_headings:
        known &= heading != MINUS_1
    return pl.when(known).then(in_range).alias("heading")


def odd_heading(heading: pl.Expr, negative_headings: bool = False) -> pl.Expr:
    """Return which of `ODD_HEADINGS` each heading is, null for the others; arguments as of `heading_in_range`."""
    minus_1 = MINUS_1_TURNED if negative_headings else MINUS_1_UNKNOWN
    return (
        pl.when(~heading.is_between(LOWEST, HIGHEST))
        .then(pl.lit(OUTSIDE))
        .when(heading == MINUS_1)
        .then(pl.lit(minus_1))
        .when(heading < -NOISE)
        .then(pl.lit(NEGATIVE))
        .alias("odd_heading")
    )


def _in_full_turn(degrees: pl.Expr) -> pl.Expr:
    return degrees.is_between(0, FULL_TURN, closed="left")
