"""Evaluate a model on a test set: publish predictions, recalls, breakdown and certainties."""

import logging
from collections.abc import Callable
from pathlib import Path

from data_manifest import schemas
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import write_table
from evaluation.descriptors.build_descriptors import build_descriptors, open_descriptors
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.metrics.evaluation import evaluate_matches, unmeasured
from evaluation.metrics.precision_recall import auprc_table, in_words
from evaluation.metrics.recalls_table import recalls_table
from evaluation.recipe import evaluation_recipe, evaluation_settings
from evaluation.search.find_matches import find_matches
from evaluation.settings import EXACT, RECALL_VALUES, WITHIN_25_M, Extraction, Threshold
from evaluation.test_sets.named_sets import NamedSet
from evaluation.test_sets.prediction_file import check_keys, write_prediction_file

logger = logging.getLogger(__name__)


def evaluate_cosplace(
    model: TrainedModel,
    database: ImageList,
    queries: ImageList,
    artifacts: Path,
    extraction: Extraction | None = None,
    *,
    threshold: Threshold = WITHIN_25_M,
    index: str = EXACT,
    recall_values: tuple[int, ...] = RECALL_VALUES,
    named: NamedSet | None = None,
    on_percentage: Callable[[int], None] | None = None,
) -> Path:
    """Evaluate a model on a test set, and return the published folder.

    A published evaluation is not repeated. Descriptors are artifacts of their own, which evaluations share.

    Args:
        model: From `find_model`, or a file of weights with its network.
        database: Database images.
        queries: Queries.
        artifacts: Folder of all artifacts.
        extraction: How descriptors are extracted.
        threshold: Largest distance of a positive; a named test set has its own.
        index: exact, ivfpq or hnsw.
        recall_values: Values of k for R@k, in rising order.
        named: The named test set, of `NAMED_SETS`, that these images are.
        on_percentage: Called with the percentage done of each list of images.

    Raises:
        UserError: The weights do not fit the network, a list is empty, or an image cannot be opened.
    """
    extraction, threshold = extraction or Extraction(), named.threshold if named else threshold
    queries_name = read_recipe(queries.manifest_folder)["name"]
    test_set = named.name if named else queries_name
    settings = evaluation_settings(extraction, threshold, index, recall_values, named)
    database, queries = database.with_states(), queries.with_states()
    recipe = evaluation_recipe(queries_name, model.digests, database.digests(), queries.digests(), settings)
    if published := find_published(artifacts, recipe):
        return published
    logger.info("evaluating %s on %s", model.path, test_set)
    prediction_file = named.prediction_file if named else None
    if prediction_file:
        check_keys(database.read()["path"])
        check_keys(queries.read()["path"])
    database_folder, queries_folder = (
        build_descriptors(model, images, artifacts, extraction, on_percentage=on_percentage)
        for images in (database, queries)
    )
    k = max(*recall_values, *RECALL_VALUES)
    matches = find_matches(database_folder, open_descriptors(queries_folder), k, index, artifacts)
    tables = database.read(), queries.read()
    if prediction_file:
        evaluation = unmeasured(*tables, matches, threshold, recall_values)
    else:
        evaluation = evaluate_matches(test_set, *tables, matches, threshold, recall_values)
    if matches.index_size is not None:
        losses = ", ".join(f"R@{k} {loss:+.1f}" for k, loss in evaluation.index_losses.items()) or "unknown"
        logger.info("index %s: %s; exact search differs by %s", index, matches.index_size, losses)
    recalls = recalls_table(evaluation, test_set, model.digests, extraction, index, named)
    auprc = auprc_table(test_set, evaluation.certainty)
    warning = recalls["count_warning"][0]
    written = f"; {prediction_file}" if prediction_file else ""
    summary = {
        "made": f"{evaluation}{in_words(auprc)}{written}" + (f"; WARNING: {warning}" if warning else ""),
        "database_folder": str(database.images_folder.resolve()),
        "queries_folder": str(queries.images_folder.resolve()),
    }
    with publishing(artifacts, recipe, summary) as staging:
        write_table(evaluation.predictions, staging / "predictions" / "predictions.parquet", schemas.PREDICTIONS)
        write_table(evaluation.breakdown, staging / "breakdown" / "breakdown.parquet", schemas.BREAKDOWN)
        write_table(recalls, staging / "recalls" / "recalls.parquet", schemas.RECALLS)
        write_table(evaluation.certainty, staging / "certainty" / "certainty.parquet", schemas.CERTAINTY)
        write_table(auprc, staging / "auprc" / "auprc.parquet", schemas.AUPRC)
        if prediction_file:
            write_prediction_file(evaluation.predictions, staging / prediction_file)
    return recipe.folder(artifacts)
