"""Colours of the page and its charts, and axes that all charts share.

Each role has a colour for light pages and one for dark pages. Charts are drawn in the light colours; in the page each
becomes `var(--role)`. Text reaches a contrast of 4.5 and marks reach 3 (WCAG); colour-blind readers can distinguish
correct from incorrect, and the groups.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import matplotlib.style
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory

LIGHT_AND_DARK = {
    "surface": ("#fefefe", "#14171c"),
    "panel": ("#f4f6f8", "#1d2127"),
    "ink": ("#1a1d21", "#e8eaed"),
    "muted": ("#59616c", "#a4acb7"),
    "grid": ("#dde1e6", "#343a43"),
    "shade": ("#b4bbc4", "#050608"),
    "accent": ("#0068ab", "#63b4ee"),
    "density": ("#2f8bd6", "#2f8bd7"),  # nearly equal: it is drawn into bitmaps
    "second": ("#b06000", "#f0b050"),
    "correct": ("#007f5b", "#2fc79a"),
    "incorrect": ("#c83c00", "#ff8650"),
    "unknown": ("#7b838d", "#8b949f"),
    "group0": ("#004c8c", "#368df4"),
    "group1": ("#c97900", "#e89c05"),
    "group2": ("#307f43", "#258726"),
    "group3": ("#99386a", "#e9a1cb"),
    "group4": ("#0392d3", "#29c3ff"),
    "group5": ("#6c0311", "#f26b4c"),
    "group6": ("#9013f8", "#a042c0"),
    "group7": ("#321432", "#c5e286"),
}
COLOUR = {role: light for role, (light, _) in LIGHT_AND_DARK.items()}
GROUP_COLOURS = [COLOUR[role] for role in LIGHT_AND_DARK if role.startswith("group")]
WIDTH, HEIGHT, TALL = 3.9, 2.8, 3.9  # inches: narrow, so that text stays readable on a phone
MIN_SLOTS = 5  # limits the width of a single bar
MAX_TICKS = 11
ROUND_NUMBERS = [step * 10**power for power in range(9) for step in (1, 2, 5)]
ABOVE: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1.01), "borderaxespad": 0}  # places a legend

_SETTINGS: dict[Any, Any] = {
    "font.size": 10,  # at least 11 pixels on a phone
    "axes.titlesize": "medium",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.8,
    "text.color": COLOUR["ink"],
    **dict.fromkeys(("axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), COLOUR["muted"]),
    **dict.fromkeys(("axes.edgecolor", "grid.color", "xtick.color", "ytick.color"), COLOUR["grid"]),
    **dict.fromkeys(("axes.facecolor", "figure.facecolor"), "none"),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon", "image.composite_image"), False),
    "svg.fonttype": "none",  # keeps text small, searchable and in the page's font
    "svg.hashsalt": "report",  # equal charts give equal bytes
}


@contextlib.contextmanager
def chart_style() -> Iterator[None]:
    """Draw and save charts in the style of the report, whatever style the user has set."""
    with matplotlib.style.context(["default", _SETTINGS]):
        yield


def new_chart(width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """Return a figure of a size in inches, and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def leave_slots(axes: Axes, first: float, last: float) -> None:
    """Limit the x axis to the bars at `first`, ..., `last`, with room at both sides if they are few."""
    spare = max(0, MIN_SLOTS - (last - first + 1)) / 2
    axes.set_xlim(first - 0.6 - spare, last + 0.6 + spare)


def number_slots(axes: Axes, first: int, last: int) -> None:
    """Label the bars at `first`, ..., `last`: all or, if there are many, every 2nd, 5th, 10th, ..."""
    step = next(step for step in ROUND_NUMBERS if (last - first + 1) / step <= MAX_TICKS)
    axes.set_xticks([number for number in range(first, last + 1) if number % step == 0])


def count_axis(axes: Axes, label: str) -> None:
    """Label the y axis as counts with thousands separators."""
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def note_cut(axes: Axes) -> str:
    """Return a sentence on where the y axis starts, or an empty string if it starts at 0."""
    start = axes.get_ylim()[0]
    return f"The vertical axis starts at {start:.3g}, not at 0." if start > 0 else ""


def draw_interval(axes: Axes, x: Iterable[float], values: pl.Series, low: pl.Series, high: pl.Series) -> None:
    """Draw the interval of each value; an end that rounding moved past it is set to the value."""
    lengths = [(values - low).clip(lower_bound=0).to_numpy(), (high - values).clip(lower_bound=0).to_numpy()]
    axes.errorbar(list(x), values.to_numpy(), lengths, fmt="none", ecolor=COLOUR["ink"], capsize=3, linewidth=1)


def draw_measure(axes: Axes, start: float, length: float, label: str, height: float) -> None:
    """Draw a length along the x axis above the axes, at a height in axes units, with a label beside it."""
    position, end = blended_transform_factory(axes.transData, axes.transAxes), start + length
    line: dict[str, Any] = {"color": COLOUR["ink"], "marker": "|", "markersize": 6, "linewidth": 1, "clip_on": False}
    axes.plot([start, end], [height, height], transform=position, **line)
    low, high = axes.get_xlim()
    x, offset, side = (end, 4, "left") if end < low + 0.7 * (high - low) else (start, -4, "right")
    text: dict[str, Any] = {"textcoords": "offset points", "va": "center", "ha": side}
    axes.annotate(label, (x, height), (offset, 0), xycoords=position, annotation_clip=False, **text)


def new_compass() -> tuple[Figure, PolarAxes]:
    """Return a figure and polar axes: degrees clockwise, north up."""
    figure = Figure(figsize=(WIDTH, TALL), layout="constrained")
    axes = figure.add_subplot(projection="polar")
    assert isinstance(axes, PolarAxes)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.grid(visible=True, axis="both")
    axes.spines["polar"].set_visible(False)
    axes.set_xticks(np.radians((0, 90, 180, 270)), labels=["N", "E", "S", "W"])
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.set_yticklabels([])
    return figure, axes


def as_css() -> str:
    """Return the colours as CSS variables, for light and dark systems."""
    light, dark = ("".join(f"--{role}:{pair[i]};" for role, pair in LIGHT_AND_DARK.items()) for i in range(2))
    return f":root{{color-scheme:light dark;{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
