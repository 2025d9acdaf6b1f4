"""The section on the results: recalls beside published ones, their curve, breakdowns, and where queries are right."""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from data_manifest.tables import scan_table
from evaluation.report import text
from evaluation.report.charts.maps import Extent, count_squares, draw_density, in_frame, new_map, square_side
from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import COLOUR, POINTS_AS_VECTORS, TALL, draw_interval, new_chart
from evaluation.report.page.blocks import Block, Note, Section, Table
from evaluation.report.sections.breakdown import aspects, plot_matches_by, plot_recall_by
from evaluation.report.sections.outcomes import RIGHT, UNANSWERABLE, WRONG, count_states
from evaluation.report.sections.result import Result
from evaluation.settings import FRAMES

MARKS = {RIGHT: ("o", "right", 8), UNANSWERABLE: ("s", "unknown", 8), WRONG: ("X", "wrong", 14)}
HARDER = "Recall of the answerable queries by how far off the positive is that is nearest in that respect."
MATCHES = "Right and wrong first matches by how far they are from their queries, and the share that is right."
NEEDLE = 0.028  # how far a query's mark stands off its place, as a share of the map's side
NAMES = {RIGHT: "right at the first match", WRONG: "wrong", UNANSWERABLE: "no positive in the database"}


def results_section(results: Sequence[Result]) -> Section:
    """Return the section on how well the model finds places."""
    blocks: list[Block] = [warning for result in results for warning in _warnings(result)]
    blocks.append(table_of_recalls(results))
    for result in results:
        blocks += [*result.heading(), *_charts(result)]
    lead = "A query is right at k if one of its k best matches was taken close enough to it."
    return Section("results", "Results", lead, blocks)


def _charts(result: Result) -> Iterator[Block]:
    harder = [plot_recall_by(result.outcomes, aspect) for aspect in aspects(result.tested.unit)]
    matches = [plot_matches_by(result.outcomes, aspect) for aspect in aspects(result.tested.unit)]
    yield Note(counted(result))
    yield result.charts([plot_curve(result), plot_queries(result)])
    yield result.charts(harder, "What makes a query hard", HARDER)
    yield result.charts(matches, "How far the first match can be trusted", MATCHES)


def _warnings(result: Result) -> list[Note]:
    """Return what the evaluation found odd about the numbers of images."""
    if "count_warning" not in result.recalls.columns:
        return []
    found = result.recalls["count_warning"].drop_nulls().unique(maintain_order=True)
    return [Note(f"{result.tested.name}: {warning}", warning=True) for warning in found]


def table_of_recalls(results: Sequence[Result]) -> Table:
    """Return the recalls of each test set, with intervals and what is published, as far as its table has them."""
    ks = pl.concat([result.recalls["k"] for result in results]).unique().sort().to_list()
    rows: list[list[str]] = []
    strong = []
    for result in results:
        strong.append(len(rows))
        for title, figures in _rows_of_set({row["k"]: row for row in result.recalls.to_dicts()}):
            rows.append([title or result.tested.name, *(figures.get(k, "") for k in ks)])
    return Table("Recall, percent", ["", *(f"R@{k}" for k in ks)], rows, numbers=range(1, len(ks) + 1), strong=strong)


def _rows_of_set(figures: dict[int, dict[str, Any]]) -> Iterator[tuple[str, dict[int, str]]]:
    """Give title and cells, by k, of each row on a test set: first ours, then what its table has beside it."""
    yield "", {k: text.percent(row["recall"]) for k, row in figures.items()}
    intervals = {k: _interval(row) for k, row in figures.items()}
    if any(intervals.values()):
        yield "95 % interval", intervals
    if any(row["queries_without_positive"] and row.get("recall_answerable") is not None for row in figures.values()):
        yield "of its answerable queries", {k: text.percent(row["recall_answerable"]) for k, row in figures.items()}
    published = {k: row for k, row in figures.items() if row.get("published_recall") is not None}
    if published:
        source = next(iter(published.values()))["published_source"]
        yield f"published in {source}", {k: text.percent(row["published_recall"]) for k, row in published.items()}
    if any(row.get("index_loss") is not None for row in figures.values()):
        yield "lost against exact search", {k: text.percent(row["index_loss"]) for k, row in figures.items()}


def _interval(row: dict[str, Any]) -> str:
    low, high = row.get("interval_low"), row.get("interval_high")
    return f"{low:.1f} to {high:.1f}" if low is not None and high is not None else ""


def counted(result: Result) -> str:
    """Return what the recalls are of, in words."""
    without = count_states(result.outcomes)[UNANSWERABLE]
    first = result.recalls.row(0, named=True)
    said = f"{first['queries']:,} queries against {first['database_images']:,} database images."
    unanswerable = text.plural(without, "query has", "queries have")
    return (
        f"{said} {unanswerable} no positive in the database: counted as misses, as in the literature."
        if without
        else said
    )


def plot_curve(result: Result) -> Plot:
    """Return the recall at every k that there are matches for, and the most that any model could reach."""
    predictions, recalls, outcomes = result.predictions, result.recalls, result.outcomes
    ranks = outcomes["first_right"].drop_nulls()
    ks = range(1, int(predictions["rank"].max()) + 1)  # type: ignore[arg-type]
    curve = pl.DataFrame({"k": ks, "recall": [100 * float((ranks <= k).sum()) / len(outcomes) for k in ks]})
    best = 100 * (1 - count_states(outcomes)[UNANSWERABLE] / len(outcomes))
    figure, axes = new_chart(height=TALL)
    axes.plot(curve["k"], curve["recall"], color=COLOUR["accent"])
    told = recalls.filter(pl.col("k").is_in(curve["k"].implode()))
    if "interval_low" in told.columns:
        draw_interval(axes, told["k"], told["recall"], (told["interval_low"], told["interval_high"]))
    axes.plot(told["k"], told["recall"], "o", color=COLOUR["accent"], markersize=5)
    for k, recall in told.select("k", "recall").iter_rows():
        axes.annotate(f"{recall:.1f}", (k, recall), xytext=(2, -12), textcoords="offset points", fontsize=8)
    if best < 100:
        axes.axhline(best, color=COLOUR["unknown"], linestyle=(0, (4, 3)), linewidth=1)
        place = blended_transform_factory(axes.transAxes, axes.transData)  # between those of 10 and 20
        axes.text(0.73, best + 1, f"answerable: {best:.1f}", transform=place, ha="center", va="bottom", fontsize=8)
    axes.set(xlabel="k best matches", ylabel="recall, %", ylim=(min(0, best), 104))
    axes.set_xticks([k for k in (1, 5, 10, 15, 20, 50, 100) if k <= len(ks)])
    alt = "Recall by number of matches: " + ", ".join(
        f"{recall:.1f} percent at {k}" for k, recall in told.select("k", "recall").iter_rows()
    )
    note = "The dashed line is what a perfect model would reach." if best < 100 else ""
    return Plot("recall_curve", "Recall curve", f"{alt}.", figure, curve, note)


def plot_queries(result: Result) -> Plot | None:
    """Return the map of right and wrong queries over the database; None where images have numbers, and no places."""
    if result.tested.unit == FRAMES:
        return None
    outcomes, database = result.outcomes, scan_table(result.tested.database.manifest.folder, "manifest")
    extent = Extent.of(outcomes.lazy())
    side = square_side(extent)
    figure, axes = new_map(extent)
    draw_density(axes, count_squares(database, extent, side), side, "database images", role="unknown", strength=0.45)
    here = in_frame(outcomes.lazy(), extent.zone, extent.hemisphere).collect()
    data = here.select("query_path", "utm_east", "utm_north", "heading", "state")
    for state, mark in MARKS.items():
        rows = data.filter(pl.col("state") == state)
        if len(rows):
            _draw_queries(axes, rows, NEEDLE * extent.side, mark, f"{NAMES[state]}: {len(rows):,}", len(data))
    figure.legend(loc="outside lower center", markerscale=1.8)
    counts = count_states(outcomes)
    alt = "Map of the queries: " + ", ".join(f"{count:,} {NAMES[state]}" for state, count in counts.items())
    notes = ["A mark stands off its place towards where its query looks."] if data["heading"].count() else []
    if elsewhere := len(outcomes) - len(here):
        notes.append(f"{text.plural(elsewhere, 'query lies', 'queries lie')} in another UTM zone.")
    return Plot("queries_map", "Right and wrong on the map", f"{alt}.", figure, data, " ".join(notes))


def _draw_queries(
    axes: Axes, queries: pl.DataFrame, off: float, mark: tuple[str, str, int], label: str, num_all: int
) -> None:
    """Draw a mark for each query, off its place in the direction of its heading: a place has often several."""
    marker, role, size = mark
    known, headings = pl.col("heading").is_not_null(), pl.col("heading").fill_null(0).radians()
    moved = queries.select(
        pl.col("utm_east") + pl.when(known).then(off * headings.sin()).otherwise(0),
        pl.col("utm_north") + pl.when(known).then(off * headings.cos()).otherwise(0),
    )
    axes.scatter(
        *(moved["utm_east"], moved["utm_north"]),
        s=size,
        marker=marker,
        color=COLOUR[role],
        linewidths=0,
        alpha=0.85,
        zorder=4,
        label=label,
        rasterized=num_all > POINTS_AS_VECTORS,
    )
