"""Numbers and names as a reader wants them."""

import math
from typing import Any

UNKNOWN = "-"


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


def setting_text(value: Any) -> str:
    """Return a setting's value as a command line takes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
