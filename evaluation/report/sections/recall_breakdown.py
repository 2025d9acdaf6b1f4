"""Recall and first matches by distance, heading difference and years apart, and the bin where the model is weakest."""

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.metrics.breakdown import DISTANCE, HEADING, YEARS, Aspect
from evaluation.metrics.recalls import wilson_interval
from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import ABOVE, COLOUR, count_axis, draw_interval, leave_slots, new_chart
from evaluation.report.format_values import format_plural
from evaluation.report.sections.query_outcomes import CORRECT

NEVER = 10**9
MIN_QUERIES = 20  # of a bin that is called weak


def aspects(unit: str) -> tuple[Aspect, ...]:
    """Return the aspects of a test set whose distances are in metres or frames."""
    return DISTANCE[unit], HEADING, YEARS


def title_of(aspect: Aspect) -> str:
    """Return the name of an aspect in words."""
    return aspect.name.replace("_", " ")


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
    figure, axes = _new_bar_chart(data, aspect)
    axes.bar(range(len(data)), data["recall_1"], width=0.6, color=COLOUR["accent"], label="R@1 with 95 % interval")
    known = data.with_row_index("x").filter(pl.col("queries") > 0)
    draw_interval(axes, known["x"], known["recall_1"], known["low_1"], known["high_1"])
    axes.plot(known["x"], known["recall_5"], "D", markersize=5, color=COLOUR["second"], label="R@5")
    axes.set(ylim=(0, 104), ylabel="recall, %")
    axes.legend(ncols=2, reverse=True, **ABOVE)
    bins = "; ".join(
        f"{recall:.1f} % ({label}, {format_plural(queries, 'query', 'queries')})"
        for label, recall, queries in known.select("label", "recall_1", "queries").iter_rows()
    )
    title = f"Recall by {title_of(aspect)}"
    alt = f"R@1 by {title_of(aspect)} of the nearest positive: {bins}."
    return Plot(f"recall_by_{aspect.name}", title, alt, figure, data, bars=len(known))


def weakest_bin(outcomes: pl.DataFrame, unit: str) -> str:
    """Return a sentence on the bin with the lowest R@1 and the highest of its aspect, of bins with enough queries."""
    pairs = []
    for aspect in aspects(unit):
        bins = recall_by(outcomes, aspect).filter(pl.col("queries") >= MIN_QUERIES).to_dicts()
        if len(bins) > 1:
            low, *_, high = sorted(bins, key=lambda each: float(each["recall_1"]))
            pairs.append((low, high))
    if not pairs:
        return f"Fewer than two bins of distance, heading or years have {MIN_QUERIES} queries to compare."
    low, high = min(
        pairs, key=lambda pair: (pair[0]["recall_1"] == pair[1]["recall_1"], pair[0]["recall_1"], -pair[1]["recall_1"])
    )
    if low["recall_1"] == high["recall_1"]:
        return f"R@1 is the same in all bins of distance, heading and years that have {MIN_QUERIES} queries."
    chance = " The intervals overlap: this may be chance." if low["high_1"] >= high["low_1"] else ""
    where, other = (each["label"].replace("same year", "0 years") for each in (low, high))
    return (
        f"Fails most at {where} from the nearest positive: "
        f"R@1 is {low['recall_1']:.0f} % ({low['queries']:,} queries), against {high['recall_1']:.0f} % "
        f"at {other} ({high['queries']:,} queries).{chance}"
    )


def plot_matches_by(outcomes: pl.DataFrame, aspect: Aspect) -> Plot | None:
    """Return correct and incorrect first matches, binned by their difference; None if nothing is known."""
    is_correct = pl.col("state") == CORRECT
    data = _count_by_bin(
        outcomes, f"match_{aspect.name}", aspect, correct=is_correct.sum(), incorrect=(~is_correct).sum()
    )
    if data.is_empty():
        return None
    figure, axes = _new_bar_chart(data, aspect)
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
        f"{right:,} of {right + other:,} ({label})"
        for label, right, other in data.select("label", "correct", "incorrect").iter_rows()
        if right + other
    )
    title = f"First matches by {title_of(aspect)}"
    alt = f"Correct first matches by {title_of(aspect)}: {bins}."
    return Plot(f"matches_by_{aspect.name}", title, alt, figure, data, bars=int((totals > 0).sum()))


def _count_by_bin(outcomes: pl.DataFrame, column: str, aspect: Aspect, **counts: pl.Expr) -> pl.DataFrame:
    """Return the counts per bin, up to the last bin that is not empty."""
    known = outcomes.filter(pl.col(column).is_not_null())
    number = pl.sum_horizontal([(pl.col(column) > end).cast(pl.Int32) for end in aspect.ends])
    counted = known.group_by(number.alias("bin")).agg(**counts)
    last = max(counted["bin"].to_list(), default=-1)
    every = pl.DataFrame(
        {"bin": range(last + 1), "label": aspect.labels[: last + 1]}, schema_overrides={"bin": pl.Int32}
    )
    return every.join(counted, on="bin", how="left", maintain_order="left").fill_null(0)


def _new_bar_chart(data: pl.DataFrame, aspect: Aspect) -> tuple[Figure, Axes]:
    """Return axes for a bar per bin, labelled as in "3-5" and, if there is a column of them, with the queries."""
    figure, axes = new_chart()
    labels = [label.rsplit(" ", 1)[0].replace(" to ", "-").replace("over ", ">") for label in data["label"]]
    unit = aspect.labels[-1].rsplit(" ", 1)[1]
    if "queries" in data.columns:
        labels = [f"{label}\n{queries:,}" for label, queries in zip(labels, data["queries"], strict=True)]
        unit += "; below, the number of queries"
    axes.set_xticks(range(len(labels)), labels=labels)
    axes.set_xlabel(unit)
    leave_slots(axes, 0, len(labels) - 1)
    return figure, axes
