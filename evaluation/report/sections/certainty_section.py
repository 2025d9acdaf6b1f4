"""The section on certainties: precision-recall curves, their areas, and thresholds for a precision."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from data_manifest.tables import read_table
from evaluation.metrics.certainty import CALIBRATED, RATIO, SIGNS, SIMILARITY, SPREAD
from evaluation.metrics.precision_recall import PRECISIONS, Curve
from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import ABOVE, COLOUR, TALL, new_chart
from evaluation.report.format_values import MISSING, format_percent
from evaluation.report.page.blocks import Block, Note, Section, Table
from evaluation.report.sections.query_outcomes import SetResult

STYLES: dict[str, tuple[str, Any]] = {  # colour role and line style
    RATIO: ("accent", "-"),
    SIMILARITY: ("second", (0, (5, 2))),
    SPREAD: ("group3", (0, (1, 1))),
}
WORDS = {
    SIMILARITY: "cosine similarity to the first match",
    RATIO: "ratio of its distance to that of the second place",
    SPREAD: "spread of the best positions (SUE)",
}
LEAD = (
    "If only queries that are certain enough are answered, precision is the share of the answers that are correct, and "
    "recall the share of the correct first matches that are answered. The larger the area under the curve (AUPRC), the "
    "better a certainty tells correct from incorrect ones."
)
OLD = "This evaluation is older than certainties. Evaluate again to compute them."
NONE_CORRECT = "No first match is correct, so there is no curve."


def certainty_section(results: Sequence[SetResult]) -> Section:
    """Return the section on the certainties of the queries."""
    blocks: list[Block] = []
    for result in results:
        folder = result.test_set.evaluation.folder
        blocks += result.heading()
        if not (folder / "certainty").is_dir():
            blocks.append(Note(OLD))
            continue
        certainty, auprc = read_table(folder, "certainty"), read_table(folder, "auprc")
        if not certainty["correct"].any():
            blocks.append(Note(NONE_CORRECT))
            continue
        blocks += [result.charts([plot_precision_recall(certainty, auprc)]), table_of_areas(auprc)]
        blocks += [Note(sentence) for sentence in advice(auprc)]
    return Section("certainty", "Certainty", LEAD, blocks)


def plot_precision_recall(certainty: pl.DataFrame, auprc: pl.DataFrame) -> Plot:
    """Return the precision-recall curves of the certainties."""
    correct, curves = certainty["correct"].to_numpy(), []
    figure, axes = new_chart(height=TALL)
    for name, (role, line) in STYLES.items():
        curve = Curve.of(name, certainty[name].to_numpy(), correct)
        columns = {"threshold": curve.thresholds, "answered": curve.answered}
        percent = {"precision": 100 * curve.precisions, "recall": 100 * curve.recalls}
        curves.append(pl.DataFrame({**columns, **percent}).insert_column(0, pl.lit(name).alias("certainty")))
        x, y = [0.0, *percent["recall"]], [percent["precision"][0], *percent["precision"]]
        axes.step(x, y, where="pre", color=COLOUR[role], linestyle=line, label=name)  # as the area is computed
    axes.set(xlabel="recall, % of the correct first matches", ylabel="precision, %", xlim=(0, 101), ylim=(0, 104))
    axes.legend(ncols=len(STYLES), **ABOVE)
    areas = ", ".join(f"{name} {area:.1f}" for name, area in auprc.select("certainty", "auprc").iter_rows())
    alt = f"Precision by recall of each certainty. Areas under the curves, percent: {areas}."
    return Plot("precision_recall", "Precision and recall", alt, figure, pl.concat(curves))


def table_of_areas(auprc: pl.DataFrame) -> Table:
    """Return the area of each certainty, its interval, and the share of queries answered at each precision."""
    rows = []
    for row in auprc.to_dicts():
        cells = [WORDS[row["certainty"]], format_percent(row["auprc"])]
        cells.append(f"{row['interval_low']:.1f} to {row['interval_high']:.1f}")
        for percent in PRECISIONS:
            share = 100 * row[f"answered_{percent}"] / row["queries"]
            threshold = row[f"threshold_{percent}"]
            cells += [MISSING if threshold is None else _limit(row["certainty"], threshold), format_percent(share)]
        rows.append(cells)
    head = ["certainty", "AUPRC, %", "95 % interval"]
    for percent in PRECISIONS:
        head += [f"threshold for {percent} % correct", "answered, %"]
    strong = [list(SIGNS).index(CALIBRATED)]
    return Table("Certainties", head, rows, numbers=range(1, len(head)), strong=strong)


def advice(auprc: pl.DataFrame) -> list[str]:
    """Return from where the certainty of `localize` is to be trusted, in a sentence per precision."""
    row, sentences = auprc.row(by_predicate=pl.col("certainty") == CALIBRATED, named=True), []
    for percent in PRECISIONS:
        threshold, answered = row[f"threshold_{percent}"], row[f"answered_{percent}"]
        if threshold is None:
            sentences.append(f"No {CALIBRATED} is certain enough for {percent} % correct answers.")
            continue
        sentences.append(
            f"For {percent} % correct answers, answer if the {CALIBRATED} is {_limit(CALIBRATED, threshold)}: "
            f"{answered:,} of {row['queries']:,} queries are answered."
        )
    return sentences


def _limit(certainty: str, threshold: float) -> str:
    return f"{'at least' if SIGNS[certainty] > 0 else 'at most'} {threshold:.6g}"
