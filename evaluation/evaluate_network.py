"""The evaluation of a network on a test set: from two lists of images to predictions and recalls."""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import nn

from data_manifest.images.image_size import ImageSize
from data_manifest.progress import Progress, working
from evaluation.descriptors.distributed import describe_together, number_of_processes, own_rows
from evaluation.descriptors.extract import Descriptors, Extraction, extract_descriptors
from evaluation.descriptors.image_list import ImageList
from evaluation.metrics.breakdown import Apart, Pairs, breakdown_table, nearest_positives
from evaluation.metrics.positives import Positions, distances_m, find_positives
from evaluation.metrics.predictions import cosine_similarities, predictions_table
from evaluation.metrics.recalls import RECALL_VALUES, Recall, compute_recalls, measure_recalls
from evaluation.recipe import resized_to
from evaluation.search.exact_search import search
from evaluation.search.find_matches import Matches
from evaluation.settings import EvaluationSettings, Threshold
from training.network.preprocessing import preprocessing_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an evaluation found: the recalls, with intervals, and the tables PREDICTIONS and BREAKDOWN.

    Of an approximate index there are also the points of each recall that it loses against exact search.
    """

    measured: list[Recall]
    num_queries: int
    num_queries_without_positive: int
    num_database: int
    threshold: Threshold
    predictions: pl.DataFrame
    breakdown: pl.DataFrame
    index_losses: dict[int, float] = field(default_factory=dict)

    @property
    def recalls(self) -> dict[int, float]:
        """R@k by k, in percent."""
        return {recall.k: recall.percent for recall in self.measured}

    def __str__(self) -> str:
        recalls = ", ".join(f"R@{k}: {recall:.1f}" for k, recall in self.recalls.items())
        return (
            f"{recalls} ({self.num_queries} queries, {self.num_queries_without_positive} without a positive, "
            f"{self.num_database} database images)"
        )


def evaluate(
    network: nn.Module,
    database: ImageList,
    queries: ImageList,
    settings: EvaluationSettings,
    *,
    image_size: ImageSize | int,
    device: torch.device,
    num_workers: int,
    on_percentage: Callable[[int], None] | None = None,
) -> Evaluation:
    """Describe both lists with the network, search each query's best matches exactly, and count the right ones.

    Nothing is left on the disk: this is how training validates.

    Args:
        network: Takes images as its preprocessing makes them, [b, channels, h, w], and returns descriptors [b, dim].
        database: The reference images.
        queries: The images to localise.
        settings: The threshold in metres, whether to resize, the batch size.
        image_size: To whose shorter side images are resized, if `settings.resize_test_imgs`.
        device: Where the network runs; it is moved there.
        num_workers: Processes that load images.
        on_percentage: Called with the share of images described, 0 to 100.

    Raises:
        UserError: A list is missing or empty, or an image cannot be opened.
    """
    tables, mode = (database.read(), queries.read()), preprocessing_of(network).mode
    how, shorter_side = Extraction(settings.infer_batch_size, device, num_workers), resized_to(settings, image_size)
    files = [each.images(table, shorter_side, mode) for each, table in zip((database, queries), tables, strict=True)]
    processes, own = number_of_processes(), sum(len(own_rows(len(images))) for images in files)
    what = "extracting descriptors" if processes == 1 else f"extracting descriptors, by each of {processes} processes"
    with Progress(what, own, "images", on_percentage) as progress:
        describe = functools.partial(extract_descriptors, network, how=how, progress=progress)
        descriptors, query_descriptors = (describe_together(describe, images) for images in files)
    _, matches = search(descriptors, query_descriptors, max(RECALL_VALUES))
    threshold = Threshold(settings.positive_dist_threshold)
    return evaluate_matches("", (tables[0], descriptors), (tables[1], query_descriptors), Matches(matches), threshold)


@working("measuring the recalls")
def evaluate_matches(
    test_set: str,
    database: tuple[pl.DataFrame, Descriptors],
    queries: tuple[pl.DataFrame, Descriptors],
    matches: Matches,
    threshold: Threshold,
    values: tuple[int, ...] = RECALL_VALUES,
) -> Evaluation:
    """Count the right ones among the matches that a search has found.

    Args:
        test_set: Its name.
        database: What `ImageList.read` gave, and the descriptors of these rows.
        queries: Likewise.
        matches: What `find_matches` gave.
        threshold: What counts as a positive.
        values: Each k of which the recall is wanted.
    """
    (database_table, descriptors), (query_table, query_descriptors) = database, queries
    places = Positions.from_manifest(database_table, threshold.unit)
    query_places = Positions.from_manifest(query_table, threshold.unit)
    positives = find_positives(places, query_places, threshold.value)
    answerable = np.array([len(rows) > 0 for rows in positives])
    _warn_if_none(answerable, threshold)

    rows = np.arange(len(matches.rows))[:, None]
    distances = distances_m(query_places, rows, places, matches.rows)
    correct = distances <= threshold.value  # the rule of find_positives, on the matches alone
    apart = Pairs(query_table, database_table)
    turned, years = apart.heading_difference(rows, matches.rows), apart.years_apart(rows, matches.rows)
    nearest = nearest_positives(positives, query_places, places, apart)
    best = Apart(distances[:, 0], turned[:, 0], years[:, 0])
    scores = cosine_similarities(query_descriptors, descriptors, matches.rows)
    losses: dict[int, float] = {}
    if matches.measured is not None and matches.exact is not None:
        some = matches.measured
        exact = distances_m(query_places, some[:, None], places, matches.exact) <= threshold.value
        ours = compute_recalls(correct[some], values)
        losses = {k: recall - ours[k] for k, recall in compute_recalls(exact, values).items()}
    paths = query_table["path"], database_table["path"]
    return Evaluation(
        measured=measure_recalls(correct, answerable, values),
        num_queries=len(query_table),
        num_queries_without_positive=int((~answerable).sum()),
        num_database=len(database_table),
        threshold=threshold,
        predictions=predictions_table(*paths, matches.rows, scores, distances, correct, turned, years),
        breakdown=breakdown_table(test_set, threshold.unit, correct, answerable, nearest, best, values),
        index_losses=losses,
    )


def _warn_if_none(answerable: npt.NDArray[np.bool_], threshold: Threshold) -> None:
    if not answerable.any():
        logger.warning(
            "none of the %d queries has a database image within %s, so every recall will be 0: "
            "do the two lists show one place, and is positive_dist_threshold right?",
            len(answerable),
            threshold,
        )
