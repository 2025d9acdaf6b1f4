"""The settings of a grouping with a colour per group, and the chart of the heading bins of one cell."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import polars as pl

from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import COLOUR, GROUP_COLOURS, new_compass

FULL_TURN = 360
MAX_LABELS = 24


@dataclass(frozen=True)
class Grouping:
    """M, alpha, N and L, the groups trained on, and the groups drawn in a colour of their own.

    Readers can distinguish only a few colours: the first groups trained on get one, all others are grey.
    """

    M: float
    alpha: float
    N: int
    L: int
    trained: Sequence[int]
    coloured: Sequence[int]

    @classmethod
    def of(cls, settings: Mapping[str, Any], groups: Sequence[int], trained: Sequence[int]) -> Self:
        """Return the grouping of a groups artifact, from its settings, non-empty groups and groups trained on."""
        values = {name: settings[name] for name in ("M", "alpha", "N", "L")}
        return cls(**values, trained=trained, coloured=(trained or groups)[: len(GROUP_COLOURS)])

    def colour(self, group: int) -> str:
        """Return the colour of a group."""
        return GROUP_COLOURS[self.coloured.index(group)] if group in self.coloured else COLOUR["unknown"]

    def parts(self, group: int) -> tuple[int, int, int]:
        """Return u, v and w: cell east and cell north modulo N, and heading bin modulo L, of a group."""
        return group // self.L // self.N, group // self.L % self.N, group % self.L


def plot_heading_bins(grouping: Grouping) -> Plot:
    """Return the chart of the heading bins of one cell, coloured by group."""
    alpha, L = grouping.alpha, grouping.L
    u, v, _ = grouping.parts(grouping.coloured[0])
    number = pl.col("heading_bin")
    bins = pl.DataFrame({"heading_bin": range(math.ceil(FULL_TURN / alpha))}).with_columns(
        from_degrees=number * alpha, to_degrees=((number + 1) * alpha).clip(upper_bound=float(FULL_TURN)), w=number % L
    )
    bins = bins.with_columns(group_index=(u * grouping.N + v) * L + pl.col("w"))
    figure, axes = new_compass()
    for low, high, group in bins.select("from_degrees", "to_degrees", "group_index").iter_rows():
        centre, width = math.radians((low + high) / 2), 0.94 * math.radians(high - low)
        axes.bar(centre, 1, width=width, bottom=0.15, color=grouping.colour(group))
        if len(bins) <= MAX_LABELS:
            axes.text(centre, 1.28, f"{group}", ha="center", va="center")
    axes.set_ylim(0, 1.4)
    axes.set_yticks([])
    axes.grid(visible=False)
    alt = (
        f"The {len(bins)} heading bins of a cell, {alpha:g} degrees each, repeat their group every {L} bins. "
        f"The groups of this cell are {', '.join(map(str, sorted(set(bins['group_index']))))}."
    )
    note = f"alpha = {alpha:g}°, L = {L}: the group of each heading bin in a cell with u = {u}, v = {v}."
    return Plot("heading_bins", "Heading bins of one cell", alt, figure, bins, note)
