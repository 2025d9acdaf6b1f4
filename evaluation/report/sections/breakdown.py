"""Recall by how far a query is from what it should find, or has found: in metres, in heading, and in years."""

import math
from dataclasses import dataclass

import polars as pl

from evaluation.metrics import breakdown
from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import COLOUR, draw_interval, leave_slots, new_chart
from evaluation.report.sections.outcomes import RIGHT
from evaluation.settings import FRAMES, METRES

Z = 1.96  # a normal distribution's 95 %
NEVER = 10**9
WHOLE = ("years", FRAMES)  # what is counted: there is nothing between 1 and 2


@dataclass(frozen=True)
class Aspect:
    """A respect in which two images are apart; a bin's values lie above its low end and up to its high end."""

    name: str
    title: str
    unit: str
    ends: tuple[float, ...]

    def label(self, number: int) -> str:
        """Return a bin's name, as in 10-25."""
        if number == len(self.ends):
            return f">{self.ends[-1]:g}"
        low, high = (self.ends[number - 1] if number else 0), self.ends[number]
        return (
            f"{high:g}" if high <= low or (number and self.unit in WHOLE and high == low + 1) else f"{low:g}-{high:g}"
        )

    def bin_of(self, values: pl.Expr) -> pl.Expr:
        """Return the number of the bin of each value."""
        return pl.sum_horizontal([(values > end).cast(pl.Int32) for end in self.ends])


DISTANCE = {unit: Aspect("distance", "distance", unit, breakdown.DISTANCE[unit].ends) for unit in (METRES, FRAMES)}
HEADING = Aspect("heading", "heading difference", "degrees", breakdown.HEADING.ends)
YEARS = Aspect("years", "years apart", "years", breakdown.YEARS.ends)


def aspects(unit: str) -> tuple[Aspect, ...]:
    """Return the aspects of a test set, whose distances are in metres or frames."""
    return DISTANCE[unit], HEADING, YEARS


def plot_recall_by(outcomes: pl.DataFrame, aspect: Aspect) -> Plot | None:
    """Return R@1 and R@5 of the answerable queries by how near the nearest positive is in an aspect.

    None where the aspect is not known of any query.
    """
    column = pl.col(f"nearest_{aspect.name}")
    rank = pl.col("first_right").fill_null(NEVER)
    known = outcomes.filter(column.is_not_null()).group_by(aspect.bin_of(column).alias("bin"))
    data = known.agg(queries=pl.len(), **{f"hits_{k}": (rank <= k).sum() for k in (1, 5)}).sort("bin")
    if data.is_empty():
        return None
    data = data.with_columns(label=pl.Series(map(aspect.label, data["bin"])), **_intervals(data))
    figure, axes = new_chart()
    places = range(len(data))
    axes.bar(places, data["recall_1"], width=0.6, color=COLOUR["accent"], label="R@1, with its 95 % interval")
    draw_interval(axes, places, data["recall_1"], (data["low_1"], data["high_1"]))
    axes.plot(places, data["recall_5"], "D", markersize=5, color=COLOUR["second"], label="R@5")
    axes.set_xticks(places, labels=[f"{name}\nn = {n:,}" for name, n in data.select("label", "queries").iter_rows()])
    axes.set_xlabel(aspect.unit)
    leave_slots(axes, 0, len(data) - 1)
    axes.set(ylim=(0, 104), ylabel="recall, %")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=2, borderaxespad=0, reverse=True)
    bins = "; ".join(
        f"{name} {aspect.unit}: R@1 {recall:.1f} of {n:,} queries"
        for name, recall, n in data.select("label", "recall_1", "queries").iter_rows()
    )
    title = f"Recall by {aspect.title}"
    return Plot(f"recall_by_{aspect.name}", title, f"{title} of the nearest positive. {bins}.", figure, data)


def _intervals(data: pl.DataFrame) -> dict[str, pl.Series]:
    """Return the recalls in percent, and Wilson's interval of R@1."""
    ends = [wilson(hits, n) for hits, n in data.select("hits_1", "queries").iter_rows()]
    return {
        **{f"recall_{k}": 100 * data[f"hits_{k}"] / data["queries"] for k in (1, 5)},
        "low_1": pl.Series([low for low, _ in ends]),
        "high_1": pl.Series([high for _, high in ends]),
    }


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share in percent, which also small numbers may have (Wilson 1927)."""
    share, spread = hits / trials, Z**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)


def plot_matches_by(outcomes: pl.DataFrame, aspect: Aspect) -> Plot | None:
    """Return right and wrong first matches by how far they are from their queries, or None where it is not known."""
    column = pl.col(f"match_{aspect.name}")
    known = outcomes.filter(column.is_not_null()).group_by(aspect.bin_of(column).alias("bin"))
    is_right = pl.col("state") == RIGHT
    data = known.agg(right=is_right.sum(), wrong=(~is_right).sum()).sort("bin")
    if data.is_empty():
        return None
    data = data.with_columns(label=pl.Series(map(aspect.label, data["bin"])))
    figure, axes = new_chart()
    places = range(len(data))
    axes.bar(places, data["right"], width=0.6, color=COLOUR["right"], label="right")
    axes.bar(
        *(places, data["wrong"]),
        width=0.6,
        bottom=data["right"],
        color=COLOUR["wrong"],
        hatch="////",
        edgecolor=COLOUR["surface"],
        linewidth=0,
        label="wrong",
    )
    for place, right, of_all in zip(places, data["right"], data["right"] + data["wrong"], strict=True):
        axes.text(place, of_all, f"{right / of_all:.0%}", ha="center", va="bottom", fontsize=8)
    axes.set_xticks(places, labels=data["label"].to_list())
    axes.set_xlabel(aspect.unit)
    leave_slots(axes, 0, len(data) - 1)
    axes.set_ylabel("queries")
    axes.set_ylim(0, 1.12 * (data["right"] + data["wrong"]).to_numpy().max())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=2, borderaxespad=0)
    bins = "; ".join(
        f"{name} {aspect.unit}: {right:,} right, {wrong:,} wrong"
        for name, right, wrong in data.select("label", "right", "wrong").iter_rows()
    )
    title = f"First matches by {aspect.title}"
    return Plot(f"matches_by_{aspect.name}", title, f"{title}. {bins}.", figure, data)
