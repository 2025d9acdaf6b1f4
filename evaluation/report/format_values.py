"""Format numbers, ranges, distances and settings for the report."""

import math
from typing import Any

import polars as pl

MISSING = "-"
THREE_DECIMALS_BELOW = 10
MAX_DECIMAL_M = 29.95  # decimals decide where the radius of positives is 25 m


def format_count(value: float) -> str:
    """Return a whole number with thousands separators."""
    return f"{value:,.0f}"


def format_percent(value: float | None) -> str:
    """Return a percentage with one decimal and no sign."""
    return MISSING if value is None else f"{value:.1f}"


def format_distance(value: float, unit: str = "metres") -> str:
    """Return a distance in frames, metres or kilometres; infinity means another UTM zone."""
    if math.isinf(value):
        return "another zone"
    if unit == "frames":
        return format_plural(round(value), "frame", "frames")
    if value < MAX_DECIMAL_M:
        return f"{value:.1f} m"
    return f"{value:,.0f} m" if value < 9_950 else f"{value / 1000:,.0f} km"


def format_range(values: list[Any]) -> str:
    """Return the lowest and highest value, or the only one."""
    if not values:
        return MISSING
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def format_plural(number: int, singular: str, plural: str) -> str:
    """Return a number with the matching form of its noun."""
    return f"{number:,} {singular if number == 1 else plural}"


def format_column(values: pl.Series) -> list[str]:
    """Return a column as text; fractions get one decimal, or three if all are small, so that they align."""
    if not values.dtype.is_float():
        return [MISSING if value is None else format_setting(value) for value in values]
    numbers = values.drop_nulls()
    decimals = 1 if any(abs(number) >= THREE_DECIMALS_BELOW for number in numbers) else 3
    if (numbers == numbers.round(0)).all():
        decimals = 0
    return [MISSING if value is None else f"{value:.{decimals}f}" for value in values]


def format_setting(value: Any) -> str:
    """Return the value of a setting as the command line takes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
