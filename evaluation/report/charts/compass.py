"""The heading bins of one cell: how wide alpha makes them, and every how many L has the group return."""

import math

import numpy as np
import polars as pl

from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import COLOUR, new_compass
from evaluation.report.sections.grouping import Grouping

FULL_TURN = 360
MOST_LABELS = 24


def plot_compass(grouping: Grouping) -> Plot:
    """Return the heading bins of one cell: alpha wide, every L-th of the same group."""
    bins = pl.DataFrame({"heading_bin": range(math.ceil(FULL_TURN / grouping.alpha))}).with_columns(
        from_degrees=pl.col("heading_bin") * grouping.alpha,
        to_degrees=((pl.col("heading_bin") + 1) * grouping.alpha).clip(upper_bound=float(FULL_TURN)),
        w=pl.col("heading_bin") % grouping.L,
    )
    u, v, _ = grouping.parts(grouping.coloured[0])
    bins = bins.with_columns(group_index=(u * grouping.N + v) * grouping.L + pl.col("w"))
    figure, axes = new_compass()
    centres = np.radians((bins["from_degrees"] + bins["to_degrees"]).to_numpy() / 2)
    widths = np.radians((bins["to_degrees"] - bins["from_degrees"]).to_numpy())
    colours = [grouping.colour(group) for group in bins["group_index"]]
    alphas = [0.85 if group in grouping.coloured else 0.3 for group in bins["group_index"]]
    for centre, width, colour, alpha in zip(centres, widths, colours, alphas, strict=True):
        axes.bar(centre, 1, width=0.94 * width, bottom=0.15, color=colour, alpha=alpha)
    axes.set_yticks([])
    axes.grid(visible=False)
    if len(bins) <= MOST_LABELS:
        for centre, group in zip(centres, bins["group_index"], strict=True):
            axes.text(
                centre, 0.85, f"{group}", ha="center", va="center", fontsize=8, fontweight="bold", color=COLOUR["label"]
            )
    alt = (
        f"The {len(bins)} heading bins of a cell, {grouping.alpha:g} degrees each; every {grouping.L}. one is of the "
        f"same group. The cell's groups are {', '.join(map(str, sorted(set(bins['group_index']))))}."
    )
    note = (
        f"alpha = {grouping.alpha:g}°, L = {grouping.L}: the group of each heading bin in a cell with u = {u}, v = {v}."
    )
    return Plot("heading_bins", "Heading bins of one cell", alt, figure, bins, note)
