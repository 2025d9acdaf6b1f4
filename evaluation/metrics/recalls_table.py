"""The table of recalls: of one test set, as Parquet, and of several, as text with published figures and warnings."""

import polars as pl

from data_manifest import schemas
from data_manifest.inspect.bars import table
from data_manifest.tables import make_frame
from evaluation.evaluate_network import Evaluation
from evaluation.metrics.published_recalls import published_recalls
from evaluation.recipe import Model
from evaluation.settings import EXACT, FP32, RetrievalSettings
from evaluation.test_sets.named_sets import NamedSet


def recalls_table(
    evaluation: Evaluation,
    test_set: str,
    model: Model,
    retrieval: RetrievalSettings,
    named: NamedSet | None = None,
    resized: bool = False,
) -> pl.DataFrame:
    """Return the table RECALLS, one row for each k.

    Published figures stand beside those that are comparable: of the same network, on images of their own size, in full
    precision, by exact search.

    Args:
        evaluation: What was found.
        test_set: Its name.
        model: What was evaluated.
        retrieval: How.
        named: What the test set is known as, if it is.
        resized: Whether images were resized.
    """
    is_comparable = named is not None and not resized and (retrieval.infer_precision, retrieval.index) == (FP32, EXACT)
    facts = {
        "test_set": test_set,
        "queries": evaluation.num_queries,
        "queries_without_positive": evaluation.num_queries_without_positive,
        "database_images": evaluation.num_database,
        "threshold": evaluation.threshold.value,
        "threshold_unit": evaluation.threshold.unit,
        "index": retrieval.index,
        "count_warning": named and named.warning(evaluation.num_queries, evaluation.num_database),
    }
    rows = []
    for recall in evaluation.measured:
        published = published_recalls(model.backbone, model.fc_output_dim, test_set, recall.k) if is_comparable else []
        row = {
            "k": recall.k,
            "recall": recall.percent,
            "recall_answerable": recall.answerable,
            "interval_low": recall.low,
            "interval_high": recall.high,
            "index_loss": evaluation.index_losses.get(recall.k),
            "published_recall": published[0].recall if published else None,
            "published_source": published[0].source if published else None,
        }
        rows.append({**facts, **row})
    return make_frame(rows, schemas.RECALLS)


def as_text(recalls: pl.DataFrame) -> str:
    """Return the recalls of several test sets: a line for each, what is published below it, and what is to be noted."""
    lines = [
        _titles(recalls),
        *(line for _, rows in recalls.group_by("test_set", maintain_order=True) for line in _set(rows)),
    ]
    aligned = [line[2:] for line in table(lines, left=range(len(lines[0])))]  # a page of its own: nothing to indent
    return "\n".join([*aligned, *_notes(recalls)])


def _titles(recalls: pl.DataFrame) -> list[str]:
    ks = recalls["k"].unique(maintain_order=True)
    return ["", *(f"R@{k} (95 % interval)" for k in ks), "within", "queries", "without a positive", "database"]


def _set(rows: pl.DataFrame) -> list[list[str]]:
    first = rows.row(0, named=True)
    ours = [f"{row['recall']:.1f} ({row['interval_low']:.1f}-{row['interval_high']:.1f})" for row in rows.to_dicts()]
    counts = [f"{first[name]:,}" for name in ("queries", "queries_without_positive", "database_images")]
    lines = [[first["test_set"], *ours, f"{first['threshold']:g} {first['threshold_unit']}", *counts]]
    if rows["published_recall"].count():
        published = ["" if value is None else f"{value:.1f}" for value in rows["published_recall"]]
        lines.append(["  published", *published, "", "", "", ""])
    return lines


def _notes(recalls: pl.DataFrame) -> list[str]:
    notes = []
    for row in recalls.unique("test_set", maintain_order=True).to_dicts():
        name = row["test_set"]
        if row["count_warning"]:
            notes.append(f"WARNING {name}: {row['count_warning']}")
        if row["queries_without_positive"] and row["recall_answerable"] is not None:
            notes.append(f"{name}: R@{row['k']} of the queries that have a positive is {row['recall_answerable']:.1f}")
        if row["index_loss"] is not None:
            notes.append(f"{name}: the index {row['index']} loses {row['index_loss']:.1f} points of R@{row['k']}")
        if row["published_source"]:
            notes.append(f"{name}: published in {row['published_source']}")
    return notes
