"""Numbers and names as a reader wants them."""

import math
from typing import Any

import polars as pl

UNKNOWN = "-"
SMALL = 10  # less than this is small


def count(value: float | None) -> str:
    """Return a whole number with thousands separators."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """Return a share in percent, which it is already, with one decimal."""
    return UNKNOWN if value is None else f"{value:.1f}"


def distance(value: float, unit: str = "metres") -> str:
    """Return a distance: frames, metres, or kilometres where there are many of them."""
    if math.isinf(value):
        return "another zone"
    if unit == "frames":
        return plural(round(value), "frame", "frames")
    if value < 99.95:
        return f"{value:.1f} m"
    return f"{value:,.0f} m" if value < 9_950 else f"{value / 1000:,.0f} km"


def degrees(value: float | None) -> str:
    """Return a heading or a difference of headings."""
    return UNKNOWN if value is None else f"{value:.0f}°"


def span(first: Any, last: Any) -> str:
    """Return a range, of years for example, or the one value that it is."""
    if first is None:
        return UNKNOWN
    return f"{first}" if first == last else f"{first} to {last}"


def plural(number: int, one: str, many: str) -> str:
    """Return a number of things."""
    return f"{number:,} {one if number == 1 else many}"


def column_text(values: pl.Series) -> list[str]:
    """Return a column of a chart's data; fractions have one decimal, and three if all are small, so that they align."""
    if not values.dtype.is_float():
        return [UNKNOWN if value is None else setting_text(value) for value in values]
    known = values.drop_nulls()
    if known.is_empty() or (known == known.round(0)).all():
        decimals = 0
    else:
        decimals = 1 if known.abs().to_numpy().max() >= SMALL else 3
    return [UNKNOWN if value is None else f"{value:.{decimals}f}" for value in values]


def setting_text(value: Any) -> str:
    """Return a setting's value as a command line takes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
