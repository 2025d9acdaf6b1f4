"""The looks of the report, in one home: colours of the page and of its charts, and how charts are drawn.

Each colour has a role, and two values: on a light page and on a dark one. Charts are drawn in the light values; in the
page each becomes `var(--role)`, so that one chart serves both. The colours of right and wrong, and those of groups, of
which six are after Okabe and Ito's, are ones that colour-blind readers tell apart; shapes and words say the same again.
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

LIGHT_AND_DARK = {
    "surface": ("#fefefe", "#14171c"),
    "panel": ("#f4f6f8", "#1d2127"),
    "ink": ("#1a1d21", "#e8eaed"),
    "muted": ("#59616c", "#a4acb7"),
    "grid": ("#dde1e6", "#343a43"),
    "shade": ("#b4bbc4", "#050608"),
    "accent": ("#0068ab", "#63b4ee"),
    "density": ("#2f8bd6", "#2f8bd7"),  # nearly one for both pages: it is drawn into pictures
    "second": ("#b06000", "#f0b050"),
    "right": ("#007f5b", "#2fc79a"),
    "wrong": ("#c83c00", "#ff8650"),
    "unknown": ("#7b838d", "#8b949f"),
    "label": ("#101316", "#0f1215"),  # on a coloured ground
    "group0": ("#0072b2", "#3f9be0"),
    "group1": ("#e69f00", "#f2a50a"),
    "group2": ("#009e73", "#1fc497"),
    "group3": ("#cc79a7", "#e69ac3"),
    "group4": ("#56b4e9", "#9adcff"),
    "group5": ("#a63603", "#e0662e"),
    "group6": ("#8b1cf7", "#9000ff"),
    "group7": ("#481830", "#d8f090"),
}
COLOUR = {role: light for role, (light, _) in LIGHT_AND_DARK.items()}
GROUP_COLOURS = [COLOUR[role] for role in LIGHT_AND_DARK if role.startswith("group")]
WIDTH, HEIGHT, TALL = 3.9, 2.8, 3.9  # inches: narrow, so that a chart's text stays readable on a phone
LEAST_SLOTS = 5  # bars are no wider than if there were so many
MOST_NUMBERS = 11  # that stand side by side below a chart
NUMBERED = [step * 10**power for power in range(9) for step in (1, 2, 5)]
POINTS_AS_VECTORS = 2500  # more are drawn as one picture, which is smaller

_SETTINGS: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelcolor": COLOUR["muted"],
    "axes.edgecolor": COLOUR["grid"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": COLOUR["grid"],
    "grid.linewidth": 0.7,
    "text.color": COLOUR["ink"],
    "xtick.color": COLOUR["grid"],
    "xtick.labelcolor": COLOUR["muted"],
    "ytick.color": COLOUR["grid"],
    "ytick.labelcolor": COLOUR["muted"],
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",  # text stays text: small, found by the reader's search, in the page's font
    "svg.hashsalt": "report",  # the same bytes for the same chart
    "image.composite_image": False,
}


@contextlib.contextmanager
def conventions() -> Iterator[None]:
    """Draw and save charts with the report's looks."""
    with matplotlib.style.context(["default", _SETTINGS]):  # not in those of the user's other drawings
        yield


def new_chart(width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """Return a figure, in inches, and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def leave_slots(axes: Axes, first: float, last: float) -> None:
    """Keep a few bars from becoming broad: those at `first`, ..., `last` stand in the middle of room for more."""
    spare = max(0, LEAST_SLOTS - (last - first + 1)) / 2
    axes.set_xlim(first - 0.6 - spare, last + 0.6 + spare)


def number_slots(axes: Axes, first: int, last: int) -> None:
    """Number the places `first`, ..., `last` of an axis: all or, where they are many, each 2nd, 5th, 10th, ..."""
    every = next(step for step in NUMBERED if (last - first + 1) / step <= MOST_NUMBERS)
    axes.set_xticks([place for place in range(first, last + 1) if place % every == 0])


def draw_interval(axes: Axes, places: Iterable[float], values: pl.Series, ends: tuple[pl.Series, pl.Series]) -> None:
    """Draw the interval of each value; an end that rounding puts on the wrong side is on the value."""
    low, high = ((values - ends[0]).clip(lower_bound=0), (ends[1] - values).clip(lower_bound=0))
    axes.errorbar(
        list(places),
        values.to_numpy(),
        [low.to_numpy(), high.to_numpy()],
        fmt="none",
        ecolor=COLOUR["ink"],
        capsize=3,
        linewidth=1,
    )


def new_compass() -> tuple[Figure, PolarAxes]:
    """Return a figure and axes of angles: degrees clockwise, north up."""
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
    """Return the colours as custom properties: light ones, and dark ones where the reader's system is dark."""
    light, dark = (
        "".join(f"--{role}:{values[index]};" for role, values in LIGHT_AND_DARK.items()) for index in range(2)
    )
    return f":root{{color-scheme:light dark;{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
