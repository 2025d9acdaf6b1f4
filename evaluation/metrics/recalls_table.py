"""The table RECALLS of an evaluation, with published recalls and a warning about unexpected counts."""

import polars as pl

from data_manifest import schemas
from data_manifest.tables import make_frame
from evaluation.metrics.evaluation import Evaluation
from evaluation.metrics.published_recalls import published_recalls
from evaluation.recipe import ModelDigests
from evaluation.settings import EXACT, FP32, Extraction
from evaluation.test_sets.named_sets import NamedSet


def recalls_table(
    evaluation: Evaluation,
    test_set: str,
    model: ModelDigests,
    extraction: Extraction,
    index: str = EXACT,
    named: NamedSet | None = None,
) -> pl.DataFrame:
    """Return the table RECALLS, one row per k.

    Published recalls are added where they are comparable: same network, image size unchanged, fp32, exact search.
    """
    comparable = named is not None and (extraction.resized_to, extraction.precision, index) == (None, FP32, EXACT)
    facts = {
        "test_set": test_set,
        "queries": evaluation.num_queries,
        "queries_without_positive": evaluation.num_queries_without_positive,
        "database_images": evaluation.num_database,
        "threshold": evaluation.threshold.value,
        "threshold_unit": evaluation.threshold.unit,
        "index": index,
        "count_warning": named and named.warning(evaluation.num_queries, evaluation.num_database),
    }
    rows = []
    for recall in evaluation.measured:
        published = published_recalls(model.backbone, model.fc_output_dim, test_set, recall.k) if comparable else []
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
