"""Charts of recall and first matches by distance, difference of headings and difference of years."""

import math
from dataclasses import dataclass
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.metrics import breakdown
from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import ABOVE, COLOUR, count_axis, draw_interval, leave_slots, new_chart
from evaluation.report.sections.query_outcomes import CORRECT
from evaluation.settings import FRAMES, METRES

Z = 1.96  # 95 % of a normal distribution
NEVER = 10**9


@dataclass(frozen=True)
class Aspect:
    """A measure of how different two images are, with the upper ends of its bins (inclusive) and their labels."""

    name: str
    title: str
    unit: str
    ends: tuple[float, ...]
    labels: tuple[str, ...]  # one more than ends: the last bin is open

    def bin_of(self, values: pl.Expr) -> pl.Expr:
        """Return the number of the bin of each value."""
        return pl.sum_horizontal([(values > end).cast(pl.Int32) for end in self.ends])


METRE_LABELS = ("0-5", "5-10", "10-25", "25-50", "50-100", "100-1000", ">1000")
FRAME_LABELS = ("0-1", "2", "2-5", "5-10", "10-20", "20-100", ">100")
DISTANCE = {
    unit: Aspect("distance", "distance", unit, breakdown.DISTANCE[unit].ends, labels)
    for unit, labels in ((METRES, METRE_LABELS), (FRAMES, FRAME_LABELS))
}
HEADING_LABELS = ("0-15", "15-30", "30-60", "60-90", ">90")
HEADING = Aspect("heading", "heading difference", "degrees", breakdown.HEADING.ends, HEADING_LABELS)
YEARS = Aspect("years", "years apart", "years", breakdown.YEARS.ends, ("0", "1", "2", "2-5", "5-10", ">10"))


def aspects(unit: str) -> tuple[Aspect, ...]:
    """Return the aspects of a test set whose distances are in metres or frames."""
    return DISTANCE[unit], HEADING, YEARS


def plot_recall_by(outcomes: pl.DataFrame, aspect: Aspect) -> Plot | None:
    """Return R@1 and R@5 of the answerable queries, binned by their nearest positive; None if nothing is known."""
    rank = pl.col("first_correct").fill_null(NEVER)
    hits = {f"hits_{k}": (rank <= k).sum() for k in (1, 5)}
    data = _count_by_bin(outcomes, f"nearest_{aspect.name}", aspect, queries=pl.len(), **hits)
    if data.is_empty():
        return None
    intervals = [wilson_interval(hits, queries) for hits, queries in data.select("hits_1", "queries").iter_rows()]
    data = data.with_columns(
        *((100 * pl.col(f"hits_{k}") / pl.col("queries")).alias(f"recall_{k}") for k in (1, 5)),
        *(pl.Series(name, ends) for name, ends in zip(("low_1", "high_1"), zip(*intervals, strict=True), strict=True)),
    )
    labels = [f"{label}\nn = {queries:,}" for label, queries in data.select("label", "queries").iter_rows()]
    figure, axes = _new_bar_chart(labels, aspect.unit)
    axes.bar(range(len(data)), data["recall_1"], width=0.6, color=COLOUR["accent"], label="R@1, with its 95 % interval")
    draw_interval(axes, range(len(data)), data["recall_1"], data["low_1"], data["high_1"])
    axes.plot(range(len(data)), data["recall_5"], "D", markersize=5, color=COLOUR["second"], label="R@5")
    axes.set(ylim=(0, 104), ylabel="recall, %")
    axes.legend(ncols=2, reverse=True, **ABOVE)
    bins = "; ".join(
        f"{label} {aspect.unit}: R@1 {recall:.1f} of {queries:,} queries"
        for label, recall, queries in data.select("label", "recall_1", "queries").iter_rows()
    )
    title = f"Recall by {aspect.title}"
    return Plot(f"recall_by_{aspect.name}", title, f"{title} of the nearest positive. {bins}.", figure, data)


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion, in percent (Wilson 1927)."""
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
    hatched: dict[str, Any] = {"hatch": "////", "edgecolor": COLOUR["surface"], "linewidth": 0}
    axes.bar(range(len(data)), data["correct"], width=0.6, color=COLOUR["correct"], label="correct")
    axes.bar(
        *(range(len(data)), data["incorrect"], 0.6, data["correct"]),
        color=COLOUR["incorrect"],
        label="incorrect",
        **hatched,
    )
    for x, (correct, incorrect) in enumerate(data.select("correct", "incorrect").iter_rows()):
        axes.text(
            x, correct + incorrect, f"{correct / (correct + incorrect):.0%}", ha="center", va="bottom", fontsize=8
        )
    count_axis(axes, "queries")
    axes.set_ylim(0, 1.12 * (data["correct"] + data["incorrect"]).to_numpy().max())
    axes.legend(ncols=2, **ABOVE)
    bins = "; ".join(
        f"{label} {aspect.unit}: {correct:,} correct, {incorrect:,} incorrect"
        for label, correct, incorrect in data.select("label", "correct", "incorrect").iter_rows()
    )
    title = f"First matches by {aspect.title}"
    return Plot(f"matches_by_{aspect.name}", title, f"{title}. {bins}.", figure, data)


def _count_by_bin(outcomes: pl.DataFrame, column: str, aspect: Aspect, **counts: pl.Expr) -> pl.DataFrame:
    known = outcomes.filter(pl.col(column).is_not_null())
    data = known.group_by(aspect.bin_of(pl.col(column)).alias("bin")).agg(**counts).sort("bin")
    return data.with_columns(label=pl.Series([aspect.labels[number] for number in data["bin"]], dtype=pl.String))


def _new_bar_chart(labels: list[str], unit: str) -> tuple[Figure, Axes]:
    figure, axes = new_chart()
    axes.set_xticks(range(len(labels)), labels=labels)
    axes.set_xlabel(unit)
    leave_slots(axes, 0, len(labels) - 1)
    return figure, axes
