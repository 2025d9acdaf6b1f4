"""The section on the results: recalls with published ones, their curve, breakdowns, and a map of the queries."""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
from matplotlib.transforms import blended_transform_factory

from data_manifest.tables import scan_table
from evaluation.report.charts.maps import Extent, count_squares, draw_density, in_frame, new_map, square_side
from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import COLOUR, MAX_VECTOR_POINTS, TALL, draw_interval, new_chart
from evaluation.report.format_values import format_percent, format_plural
from evaluation.report.page.blocks import Block, Note, Section, Table
from evaluation.report.sections.query_outcomes import CORRECT, INCORRECT, UNANSWERABLE, SetResult, count_states
from evaluation.report.sections.recall_breakdown import aspects, plot_matches_by, plot_recall_by
from evaluation.settings import FRAMES

HARD = "Recall of the answerable queries by the smallest difference to a positive."
MATCHES = "Correct and incorrect first matches by their difference to the query, and the fraction that is correct."
OFFSET = 0.028  # of a query's mark from its position, as a fraction of the map's side
MARKS = {  # marker, colour role, size and label of each state
    CORRECT: ("o", "correct", 8, "correct at the first match"),
    UNANSWERABLE: ("s", "unknown", 8, "no positive in the database"),
    INCORRECT: ("X", "incorrect", 14, "incorrect"),
}


def results_section(results: Sequence[SetResult]) -> Section:
    """Return the section on the recalls."""
    blocks: list[Block] = [warning for result in results for warning in _warnings(result)]
    blocks.append(table_of_recalls(results))
    for result in results:
        measures = aspects(result.test_set.unit)
        recalls = [plot_recall_by(result.outcomes, aspect) for aspect in measures]
        matches = [plot_matches_by(result.outcomes, aspect) for aspect in measures]
        blocks += [
            *result.heading(),
            Note(count_queries(result)),
            result.charts([plot_curve(result), plot_queries(result)]),
            result.charts(recalls, "What makes a query hard", HARD),
            result.charts(matches, "How far the first match can be trusted", MATCHES),
        ]
    lead = "A query is correct at k if one of its k best matches is within the threshold."
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
        for title, cells in _rows_of_set(result.test_set.name, result.recalls.to_dicts()):
            rows.append([title, *(cells.get(k, "") for k in ks)])
    return Table("Recall, percent", ["", *(f"R@{k}" for k in ks)], rows, numbers=range(1, len(ks) + 1), strong=strong)


def _rows_of_set(name: str, recalls: list[dict[str, Any]]) -> Iterator[tuple[str, dict[int, str]]]:
    """Yield the title and the cells, by k, of each row on one test set."""

    def cells(column: str) -> dict[int, str]:
        return {row["k"]: format_percent(row[column]) for row in recalls if row.get(column) is not None}

    yield name, cells("recall")
    low, high = cells("interval_low"), cells("interval_high")
    if low and high:
        yield "95 % interval", {k: f"{low[k]} to {high[k]}" for k in low.keys() & high.keys()}
    if any(row["queries_without_positive"] for row in recalls) and (answerable := cells("recall_answerable")):
        yield "of the answerable queries", answerable
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
        axes.annotate(f"{recall:.1f}", (k, recall), xytext=(2, -12), textcoords="offset points", fontsize=8)
    note = ""
    if best < 100:
        note = "The dashed line is the recall of a perfect model."
        axes.axhline(best, color=COLOUR["unknown"], linestyle=(0, (4, 3)), linewidth=1)
        position = blended_transform_factory(axes.transAxes, axes.transData)  # 0.73 is free of other labels
        axes.text(0.73, best + 1, f"answerable: {best:.1f}", transform=position, ha="center", va="bottom", fontsize=8)
    axes.set(xlabel="k best matches", ylabel="recall, %", ylim=(min(0, best), 104))
    axes.set_xticks([k for k in (1, 5, 10, 15, 20, 50, 100) if k <= len(ks)])
    recalls = ", ".join(f"{recall:.1f} percent at {k}" for k, recall in marked.select("k", "recall").iter_rows())
    return Plot("recall_curve", "Recall curve", f"Recall by number of matches: {recalls}.", figure, curve, note)


def plot_queries(result: SetResult) -> Plot | None:
    """Return the map of the queries by state over the database; None if images have numbers and no coordinates."""
    if result.test_set.unit == FRAMES:
        return None
    outcomes, database = result.outcomes, scan_table(result.test_set.database.manifest.folder, "manifest")
    extent = Extent.of(outcomes.lazy())
    side = square_side(extent)
    figure, axes = new_map(extent)
    draw_density(axes, count_squares(database, extent, side), side, "database images", role="unknown", strength=0.45)
    here = in_frame(outcomes.lazy(), extent.zone, extent.hemisphere).collect()
    data = here.select("query_path", "utm_east", "utm_north", "heading", "state")
    # Marks are moved in the direction of the heading, because queries often share a position.
    heading, offset = pl.col("heading").radians(), OFFSET * extent.side
    moved = data.with_columns(
        pl.col("utm_east") + (offset * heading.sin()).fill_null(0),
        pl.col("utm_north") + (offset * heading.cos()).fill_null(0),
    )
    for state, (marker, role, size, label) in MARKS.items():
        rows = moved.filter(pl.col("state") == state)
        if len(rows):
            look: dict[str, Any] = {"marker": marker, "color": COLOUR[role], "s": size, "linewidths": 0, "alpha": 0.85}
            axes.scatter(
                *(rows["utm_east"], rows["utm_north"]),
                **look,
                zorder=4,
                label=f"{label}: {len(rows):,}",
                rasterized=len(data) > MAX_VECTOR_POINTS,
            )
    figure.legend(loc="outside lower center", markerscale=1.8)
    counts = count_states(outcomes)
    alt = "Map of the queries: " + ", ".join(f"{count:,} {MARKS[state][3]}" for state, count in counts.items())
    notes = ["A mark is shifted from its position in the direction of its heading."] if data["heading"].count() else []
    if elsewhere := len(outcomes) - len(here):
        notes.append(f"{format_plural(elsewhere, 'query is', 'queries are')} in another UTM zone.")
    title = "Correct and incorrect queries on the map"
    return Plot("queries_map", title, f"{alt}.", figure, data, " ".join(notes))
