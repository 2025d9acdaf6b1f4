"""The section on the results: recalls and published ones, their curve, the localisation error, and breakdowns."""

import math
from collections.abc import Iterator, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import COLOUR, TALL, draw_interval, new_chart
from evaluation.report.find_inputs import Artifact
from evaluation.report.format_values import format_distance, format_percent, format_plural
from evaluation.report.page.blocks import Block, Note, Section, Table
from evaluation.report.sections.query_outcomes import UNANSWERABLE, SetResult, count_states
from evaluation.report.sections.recall_breakdown import aspects, plot_matches_by, plot_recall_by
from evaluation.settings import METRES

HARD = "Recall of the answerable queries by the smallest difference to a positive."
MATCHES = "Correct and incorrect first matches by their difference to the query, and the fraction that is correct."
MARKED = {METRES: (10.0, 25.0)}  # errors; in frames, the threshold
TOO_WIDE = 1000  # of a tick label
MIN_ERROR = 1.0  # start of the axis: a logarithm has no 0


def results_section(results: Sequence[SetResult], unmeasured: Sequence[Artifact] = ()) -> Section:
    """Return the section on the recalls; `unmeasured` are evaluations without ground truth, which are only named."""
    blocks: list[Block] = [warning for result in results for warning in _warnings(result)]
    for each in unmeasured:
        name = each.recipe["settings"]["test_set"]
        blocks.append(Note(f"{name} has no ground truth, so no recalls. Its predictions are in {each.folder}"))
    blocks.append(table_of_recalls(results))
    for result in results:
        measures = aspects(result.test_set.unit)
        recalls = [plot_recall_by(result.outcomes, aspect) for aspect in measures]
        matches = [plot_matches_by(result.outcomes, aspect) for aspect in measures[1:]]  # distance decides correctness
        blocks += [
            *result.heading(),
            Note(count_queries(result)),
            result.charts([plot_curve(result), plot_errors(result)]),
            result.charts(recalls, "Recall by difficulty of the query", HARD),
            result.charts(matches, "Correctness of the first match", MATCHES),
        ]
    lead = "A query is correct at k if one of its k best matches is within the radius of positives."
    return Section("results", "Results", lead, blocks)


def _warnings(result: SetResult) -> list[Note]:
    """Return the warnings on the numbers of images, which evaluations before version 4 do not have."""
    if "count_warning" not in result.recalls.columns:
        return []
    found = result.recalls["count_warning"].drop_nulls().unique(maintain_order=True)
    return [Note(f"{result.test_set.name}: {warning}", warning=True) for warning in found]


def table_of_recalls(results: Sequence[SetResult]) -> Table:
    """Return the recalls on each test set, with intervals and published recalls if there are any."""
    ks = pl.concat([result.recalls["k"] for result in results]).unique().sort().to_list()
    rows: list[list[str]] = []
    strong = []
    for result in results:
        strong.append(len(rows))
        for title, cells in _rows_of_set(result):
            rows.append([title, *(cells.get(k, "") for k in ks)])
    return Table("Recall, percent", ["", *(f"R@{k}" for k in ks)], rows, numbers=range(1, len(ks) + 1), strong=strong)


def _rows_of_set(result: SetResult) -> Iterator[tuple[str, dict[int, str]]]:
    """Yield the title and the cells, by k, of each row on one test set."""
    recalls = result.recalls.to_dicts()

    def cells(column: str) -> dict[int, str]:
        return {row["k"]: format_percent(row[column]) for row in recalls if row.get(column) is not None}

    yield result.test_set.title, cells("recall")
    low, high = cells("interval_low"), cells("interval_high")
    if low and high:
        yield "95 % interval", {k: f"{low[k]} to {high[k]}" for k in low.keys() & high.keys()}
    if any(row["queries_without_positive"] for row in recalls) and (answerable := cells("recall_answerable")):
        yield "of the answerable queries", answerable
    if result.untrained is not None:
        pairs = result.untrained.select("k", "recall").iter_rows()
        yield "untrained network", {k: format_percent(recall) for k, recall in pairs}
    if published := cells("published_recall"):
        source = next(row["published_source"] for row in recalls if row["k"] in published)
        yield f"published in {source}", published
    if losses := cells("index_loss"):
        yield "lost compared to exact search", losses


def count_queries(result: SetResult) -> str:
    """Return a sentence on the numbers of queries and database images."""
    first = result.recalls.row(0, named=True)
    counts = f"{first['queries']:,} queries and {first['database_images']:,} database images."
    without = count_states(result.outcomes)[UNANSWERABLE]
    if not without:
        return counts
    missing = format_plural(without, "query has", "queries have")
    return f"{counts} {missing} no positive in the database (counted as incorrect, as in the literature)."


def plot_curve(result: SetResult) -> Plot:
    """Return the recall at every stored rank, and the recall of a perfect model."""
    outcomes = result.outcomes
    ranks = outcomes["first_correct"].drop_nulls()
    ks = range(1, int(result.predictions["rank"].to_numpy().max()) + 1)
    curve = pl.DataFrame({"k": ks, "recall": [100 * float((ranks <= k).sum()) / len(outcomes) for k in ks]})
    best = 100 * (1 - count_states(outcomes)[UNANSWERABLE] / len(outcomes))
    figure, axes = new_chart(height=TALL)
    axes.plot(curve["k"], curve["recall"], color=COLOUR["accent"])
    marked = result.recalls.filter(pl.col("k") <= len(ks))
    if "interval_low" in marked.columns:
        draw_interval(axes, marked["k"], marked["recall"], marked["interval_low"], marked["interval_high"])
    axes.plot(marked["k"], marked["recall"], "o", color=COLOUR["accent"], markersize=5)
    for k, recall in marked.select("k", "recall").iter_rows():
        axes.annotate(f"{recall:.1f}", (k, recall), xytext=(5, -13), textcoords="offset points")
    note = ""
    if best < 100:
        note = "The dashed line is the recall of a perfect model."
        axes.axhline(best, color=COLOUR["unknown"], linestyle=(0, (4, 3)), linewidth=1)
        position = blended_transform_factory(axes.transAxes, axes.transData)  # 0.73 is free of other labels
        axes.text(0.73, best + 1, f"answerable: {best:.1f}", transform=position, ha="center", va="bottom")
    axes.set(xlabel="k best matches", ylabel="recall, %", ylim=(min(0, best), 104))
    axes.set_xticks([k for k in (1, 5, 10, 15, 20, 50, 100) if k <= len(ks)])
    recalls = ", ".join(f"{recall:.1f} percent at {k}" for k, recall in marked.select("k", "recall").iter_rows())
    return Plot("recall_curve", "Recall curve", f"Recall by number of matches: {recalls}.", figure, curve, note)


def plot_errors(result: SetResult) -> Plot:
    """Return the cumulative distribution of the localisation error: the distance of the first match."""
    unit = result.test_set.unit
    marked = MARKED.get(unit, (result.test_set.threshold,))
    every = result.outcomes["match_distance"].sort()
    data = every.filter(every.is_finite()).to_frame("error")
    data = data.with_columns(percent=100 * (pl.int_range(pl.len()) + 1) / len(every))
    figure, axes = new_chart(height=TALL)
    end = max([10 * marked[-1], *data["error"]])
    curve = dict(data.with_columns(pl.col("error").clip(MIN_ERROR)).iter_rows())  # the last of equal errors
    x, y = [*curve, end], [*curve.values(), max(curve.values(), default=0)]
    axes.step(x, y, where="post", color=COLOUR["accent"])
    axes.set_xscale("log")
    axes.set(xlim=(MIN_ERROR, end), ylim=(0, 104), ylabel="queries, %", xlabel=f"error, {unit} (logarithmic)")
    ticks = sorted({*marked, *(10**power for power in range(int(math.log10(end)) + 1))})
    axes.set_xticks(ticks, labels=[f"{tick:,g}" if tick < TOO_WIDE else f"{tick / 1000:g}k" for tick in ticks])
    axes.set_xticks([], minor=True)
    within = {limit: 100 * float((every <= limit).sum()) / len(every) for limit in marked}
    _mark_errors(axes, within)
    shares = ", ".join(f"{percent:.1f} % within {limit:g} {unit}" for limit, percent in within.items())
    median = every.median()
    assert isinstance(median, float)
    notes = [f"First matches: {shares}. The median error is {format_distance(median, unit)}."]
    if below := int((data["error"] < MIN_ERROR).sum()):
        notes.append(f"The axis starts at {MIN_ERROR:g}: {100 * below / len(every):.0f} % of the errors are smaller.")
    if elsewhere := len(every) - len(data):
        notes.append(f"{format_plural(elsewhere, 'first match is', 'first matches are')} in another UTM zone.")
    title = "Localisation error of the first match"
    return Plot("localisation_error", title, notes[0], figure, data, " ".join(notes))


def _mark_errors(axes: Axes, within: dict[float, float]) -> None:
    """Mark the percentages within one or two errors."""
    for (limit, percent), is_first in zip(within.items(), (True, False), strict=False):
        axes.axvline(limit, color=COLOUR["unknown"], linestyle=(0, (4, 3)), linewidth=1)
        axes.plot([limit], [percent], "o", color=COLOUR["accent"], markersize=5)
        side, offset = ("right", (-5, 4)) if is_first else ("left", (5, -14))  # above the curve, then below it
        axes.annotate(f"{percent:.1f}", (limit, percent), offset, textcoords="offset points", ha=side)
