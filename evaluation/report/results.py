"""The section on the results: recalls beside published ones, their curve, breakdowns, and where queries are right."""

import polars as pl
from matplotlib.axes import Axes

from data_manifest.tables import read_table, scan_table
from evaluation.published import published_recalls
from evaluation.report import text
from evaluation.report.blocks import Block, Charts, Note, Section, Table
from evaluation.report.breakdown import ASPECTS, plot_matches_by, plot_recall_by
from evaluation.report.maps import Extent, count_squares, draw_density, in_frame, new_map, square_side
from evaluation.report.outcomes import RIGHT, UNANSWERABLE, WRONG, count_states
from evaluation.report.plot import Plot
from evaluation.report.sources import Sources
from evaluation.report.style import COLOUR, POINTS_AS_VECTORS, TALL, new_chart

MARKS = {RIGHT: ("o", "right", 8), UNANSWERABLE: ("s", "unknown", 8), WRONG: ("X", "wrong", 14)}
HARDER = "Recall of the answerable queries by how far off the positive is that is nearest in that respect."
MATCHES = "Right and wrong first matches by how far they are from their queries, and the share that is right."
NEEDLE = 0.028  # how far a query's mark stands off its place, as a share of the map's side
NAMES = {RIGHT: "right at the first match", WRONG: "wrong", UNANSWERABLE: "no positive in the database"}


def results_section(sources: Sources, predictions: pl.DataFrame, outcomes: pl.DataFrame) -> Section:
    """Return the section on how well the model finds places."""
    recalls = read_table(sources.evaluation.folder, "recalls")
    harder = [plot_recall_by(outcomes, aspect) for aspect in ASPECTS]
    matches = [plot_matches_by(outcomes, aspect) for aspect in ASPECTS]
    blocks: list[Block] = [
        *_warnings(recalls),
        table_of_recalls(recalls, sources),
        Note(counted(recalls, outcomes)),
        Charts([plot_curve(predictions, recalls, outcomes), plot_queries(sources, outcomes)]),
        Charts([plot for plot in harder if plot is not None], "What makes a query hard", HARDER),
        Charts([plot for plot in matches if plot is not None], "How far the first match can be trusted", MATCHES),
    ]
    lead = "A query is right at k if one of its k best matches was taken close enough to it."
    return Section("results", "Results", lead, blocks)


def _warnings(recalls: pl.DataFrame) -> list[Note]:
    """Return what the evaluation found odd about the numbers of images."""
    if "count_warning" not in recalls.columns:
        return []
    return [
        Note(warning, warning=True) for warning in recalls["count_warning"].drop_nulls().unique(maintain_order=True)
    ]


def table_of_recalls(recalls: pl.DataFrame, sources: Sources) -> Table:
    """Return ours, with what the table has of intervals and of answerable queries, and published ones."""
    ks = recalls["k"].to_list()
    rows = [["this model", *(_with_interval(row) for row in recalls.to_dicts()), ""]]
    if "recall_answerable" in recalls.columns and recalls["queries_without_positive"].max():
        figures = (text.percent(value) for value in recalls["recall_answerable"])
        rows.append(["of the answerable queries", *figures, ""])
    settings = sources.evaluation.settings
    for each in published_recalls(settings.get("test_set") or "", settings["backbone"], settings["fc_output_dim"]):
        figures = (text.percent(each.recalls.get(k)) for k in ks)
        rows.append([f"published {each.backbone}-{each.fc_output_dim}", *figures, each.source])
    has_source = any(row[-1] for row in rows)
    head = ["", *(f"R@{k}" for k in ks), *(["source"] if has_source else [])]
    rows = rows if has_source else [row[:-1] for row in rows]
    return Table("Recall, percent", head, rows, numbers=range(1, len(ks) + 1), strong=(0,))


def _with_interval(row: dict[str, float | None]) -> str:
    low, high = row.get("interval_low"), row.get("interval_high")
    interval = f" ({low:.1f} to {high:.1f})" if low is not None and high is not None else ""
    return f"{text.percent(row['recall'])}{interval}"


def counted(recalls: pl.DataFrame, outcomes: pl.DataFrame) -> str:
    """Return what the recalls are of, in words."""
    without = count_states(outcomes)[UNANSWERABLE]
    first = recalls.row(0, named=True)
    said = f"{first['queries']:,} queries against {first['database_images']:,} database images."
    unanswerable = text.plural(without, "query has", "queries have")
    return (
        f"{said} {unanswerable} no positive in the database: counted as misses, as in the literature."
        if without
        else said
    )


def plot_curve(predictions: pl.DataFrame, recalls: pl.DataFrame, outcomes: pl.DataFrame) -> Plot:
    """Return the recall at every k that there are matches for, and the most that any model could reach."""
    ranks = outcomes["first_right"].drop_nulls()
    ks = range(1, int(predictions["rank"].max()) + 1)  # type: ignore[arg-type]
    curve = pl.DataFrame({"k": ks, "recall": [100 * float((ranks <= k).sum()) / len(outcomes) for k in ks]})
    best = 100 * (1 - count_states(outcomes)[UNANSWERABLE] / len(outcomes))
    figure, axes = new_chart(height=TALL)
    axes.plot(curve["k"], curve["recall"], color=COLOUR["accent"])
    told = recalls.filter(pl.col("k").is_in(curve["k"].implode()))
    if "interval_low" in told.columns:
        whiskers = [
            (told["recall"] - told["interval_low"]).to_numpy(),
            (told["interval_high"] - told["recall"]).to_numpy(),
        ]
        axes.errorbar(told["k"], told["recall"], whiskers, fmt="none", ecolor=COLOUR["accent"], capsize=3, linewidth=1)
    axes.plot(told["k"], told["recall"], "o", color=COLOUR["accent"], markersize=5)
    for k, recall in told.select("k", "recall").iter_rows():
        axes.annotate(f"{recall:.1f}", (k, recall), xytext=(2, -12), textcoords="offset points", fontsize=8)
    if best < 100:
        axes.axhline(best, color=COLOUR["unknown"], linestyle=(0, (4, 3)), linewidth=1)
        axes.annotate(f"answerable: {best:.1f}", (1, best), xytext=(0, 3), textcoords="offset points", fontsize=8)
    axes.set(xlabel="k best matches", ylabel="recall, %", ylim=(min(0, best), 104))
    axes.set_xticks([k for k in (1, 5, 10, 15, 20, 50, 100) if k <= len(ks)])
    alt = "Recall by number of matches: " + ", ".join(
        f"{recall:.1f} percent at {k}" for k, recall in told.select("k", "recall").iter_rows()
    )
    note = "The dashed line is what a perfect model would reach." if best < 100 else ""
    return Plot("recall_curve", "Recall curve", f"{alt}.", figure, curve, note)


def plot_queries(sources: Sources, outcomes: pl.DataFrame) -> Plot:
    """Return the map of right and wrong queries over the database."""
    database = scan_table(sources.database.folder, "manifest")
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
