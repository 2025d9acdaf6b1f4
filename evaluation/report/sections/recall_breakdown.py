"""Recall and first matches by distance, heading difference and years apart, and the bin where the model is weakest."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.metrics import breakdown
from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import ABOVE, COLOUR, count_axis, draw_interval, leave_slots, new_chart
from evaluation.report.format_values import format_plural
from evaluation.report.sections.query_outcomes import CORRECT
from evaluation.settings import FRAMES, METRES

Z = 1.96  # 95 % of a normal distribution
NEVER = 10**9
MIN_QUERIES = 20  # of a bin that is called weak


@dataclass(frozen=True)
class Aspect:
    """A measure of how different two images are, with the upper ends of its bins (inclusive) and their labels."""

    name: str
    title: str
    unit: str
    between: str  # completes "0 to 5 metres"
    ends: tuple[float, ...]
    labels: tuple[str, ...]  # one more than ends: the last bin is open

    def bin_of(self, values: pl.Expr) -> pl.Expr:
        """Return the number of the bin of each value."""
        return pl.sum_horizontal([(values > end).cast(pl.Int32) for end in self.ends])


METRE_LABELS = ("0-5", "5-10", "10-25", "25-50", "50-100", "100-1000", ">1000")
FRAME_LABELS = ("0-1", "2", "3-5", "6-10", "11-20", "21-100", ">100")
NEAREST = "from the nearest positive"
DISTANCE = {
    unit: Aspect("distance", "distance", unit, NEAREST, breakdown.DISTANCE[unit].ends, labels)
    for unit, labels in ((METRES, METRE_LABELS), (FRAMES, FRAME_LABELS))
}
HEADING_LABELS = ("0-15", "15-30", "30-60", "60-90", ">90")
TURNED = "from the heading of the nearest positive"
HEADING = Aspect("heading", "heading difference", "degrees", TURNED, breakdown.HEADING.ends, HEADING_LABELS)
YEARS = Aspect("years", "years apart", "years", "apart", breakdown.YEARS.ends, ("0", "1", "2", "3-5", "6-10", ">10"))


def aspects(unit: str) -> tuple[Aspect, ...]:
    """Return the aspects of a test set whose distances are in metres or frames."""
    return DISTANCE[unit], HEADING, YEARS


def recall_by(outcomes: pl.DataFrame, aspect: Aspect) -> pl.DataFrame:
    """Return R@1 with its 95 % interval and R@5 of the answerable queries, binned by their nearest positive."""
    rank = pl.col("first_correct").fill_null(NEVER)
    hits = {f"hits_{k}": (rank <= k).sum() for k in (1, 5)}
    data = _count_by_bin(outcomes, f"nearest_{aspect.name}", aspect, queries=pl.len(), **hits)
    intervals = [wilson_interval(hits, queries) for hits, queries in data.select("hits_1", "queries").iter_rows()]
    percent = {f"recall_{k}": (100 * pl.col(f"hits_{k}") / pl.col("queries")).fill_nan(None) for k in (1, 5)}
    low, high = ([each[end] for each in intervals] for end in (0, 1))
    ends = {"low_1": pl.Series(low, dtype=pl.Float64), "high_1": pl.Series(high, dtype=pl.Float64)}
    return data.with_columns(**percent, **ends)


def plot_recall_by(outcomes: pl.DataFrame, aspect: Aspect) -> Plot | None:
    """Return the chart of `recall_by`, or None if nothing is known."""
    data = recall_by(outcomes, aspect)
    if data.is_empty():
        return None
    labels = [f"{label}\n{queries:,}" for label, queries in data.select("label", "queries").iter_rows()]
    figure, axes = _new_bar_chart(labels, f"{aspect.unit}; below, the number of queries")
    axes.bar(range(len(data)), data["recall_1"], width=0.6, color=COLOUR["accent"], label="R@1 with 95 % interval")
    known = data.with_row_index("x").filter(pl.col("queries") > 0)
    draw_interval(axes, known["x"], known["recall_1"], known["low_1"], known["high_1"])
    axes.plot(known["x"], known["recall_5"], "D", markersize=5, color=COLOUR["second"], label="R@5")
    axes.set(ylim=(0, 104), ylabel="recall, %")
    axes.legend(ncols=2, reverse=True, **ABOVE)
    bins = "; ".join(
        f"{recall:.1f} % at {spell(label)} {aspect.unit} ({format_plural(queries, 'query', 'queries')})"
        for label, recall, queries in known.select("label", "recall_1", "queries").iter_rows()
    )
    title = f"Recall by {aspect.title}"
    alt = f"R@1 by {aspect.title} of the nearest positive: {bins}."
    return Plot(f"recall_by_{aspect.name}", title, alt, figure, data, bars=len(known))


def weakest_bin(outcomes: pl.DataFrame, unit: str) -> str:
    """Return a sentence on the bin whose R@1 is lowest compared to an adjacent bin, of those with enough queries."""
    drops = []
    for aspect in aspects(unit):
        bins = recall_by(outcomes, aspect).filter(pl.col("queries") >= MIN_QUERIES).to_dicts()
        for one, other in itertools.pairwise(bins):
            low, high = sorted((one, other), key=lambda each: float(each["recall_1"]))
            drops.append((high["recall_1"] - low["recall_1"], aspect, low, high))
    if not drops:
        return f"Too few queries to say where the model fails most: fewer than two bins have {MIN_QUERIES} queries."
    drop, aspect, low, high = max(drops, key=lambda each: each[0])
    if not drop:
        return f"R@1 is the same in all bins of distance, heading and years that have {MIN_QUERIES} queries."
    chance = " The intervals overlap: this may be chance." if low["high_1"] >= high["low_1"] else ""
    return (
        f"Fails most at {spell(low['label'])} {aspect.unit} {aspect.between}: R@1 is {low['recall_1']:.0f} % "
        f"({low['queries']:,} queries), against {high['recall_1']:.0f} % at {spell(high['label'])} {aspect.unit} "
        f"({high['queries']:,} queries).{chance}"
    )


def spell(label: str) -> str:
    """Return the label of a bin in words."""
    return label.replace("-", " to ").replace(">", "more than ")


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion, in percent (Wilson 1927); of no trials, all of it."""
    if not trials:
        return 0.0, 100.0
    share, spread = hits / trials, Z**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)


def plot_matches_by(outcomes: pl.DataFrame, aspect: Aspect) -> Plot | None:
    """Return correct and incorrect first matches, binned by their difference; None if nothing is known."""
    is_correct = pl.col("state") == CORRECT
    data = _count_by_bin(
        outcomes, f"match_{aspect.name}", aspect, correct=is_correct.sum(), incorrect=(~is_correct).sum()
    )
    if data.is_empty():
        return None
    figure, axes = _new_bar_chart(data["label"].to_list(), aspect.unit)
    x, correct, incorrect = range(len(data)), data["correct"], data["incorrect"]
    axes.bar(x, correct, width=0.6, color=COLOUR["correct"], label="correct")
    hatched: dict[str, Any] = {"hatch": "////", "edgecolor": COLOUR["surface"], "linewidth": 0}
    axes.bar(x, incorrect, 0.6, correct, color=COLOUR["incorrect"], label="incorrect", **hatched)
    totals = correct + incorrect
    for place, right, total in zip(x, correct, totals, strict=True):
        axes.text(place, total, f"{right / total:.0%}" if total else "", ha="center", va="bottom")
    count_axis(axes, "queries")
    axes.set_ylim(0, 1.12 * totals.to_numpy().max())
    axes.legend(ncols=2, **ABOVE)
    bins = "; ".join(
        f"{right:,} of {right + other:,} at {spell(label)} {aspect.unit}"
        for label, right, other in data.select("label", "correct", "incorrect").iter_rows()
        if right + other
    )
    title = f"First matches by {aspect.title}"
    alt = f"Correct first matches by {aspect.title}: {bins}."
    return Plot(f"matches_by_{aspect.name}", title, alt, figure, data, bars=int((totals > 0).sum()))


def _count_by_bin(outcomes: pl.DataFrame, column: str, aspect: Aspect, **counts: pl.Expr) -> pl.DataFrame:
    """Return the counts per bin, up to the last bin that is not empty."""
    known = outcomes.filter(pl.col(column).is_not_null())
    counted = known.group_by(aspect.bin_of(pl.col(column)).alias("bin")).agg(**counts)
    last = max(counted["bin"].to_list(), default=-1)
    every = pl.DataFrame(
        {"bin": range(last + 1), "label": aspect.labels[: last + 1]}, schema_overrides={"bin": pl.Int32}
    )
    return every.join(counted, on="bin", how="left", maintain_order="left").fill_null(0)


def _new_bar_chart(labels: list[str], unit: str) -> tuple[Figure, Axes]:
    figure, axes = new_chart()
    axes.set_xticks(range(len(labels)), labels=labels)
    axes.set_xlabel(unit)
    leave_slots(axes, 0, len(labels) - 1)
    return figure, axes
