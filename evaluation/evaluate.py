"""The evaluation of a network on a test set: from two lists of images to predictions and recalls."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import nn

from data_manifest.errors import UserError
from data_manifest.image_size import ImageSize
from data_manifest.progress import Progress
from data_manifest.tables import read_table
from evaluation.descriptors import Descriptors, extract_descriptors
from evaluation.images import ImageFiles
from evaluation.positives import POSITION_COLUMNS, Positions, distances_m, find_positives
from evaluation.predictions import cosine_similarities, predictions_table
from evaluation.recalls import RECALL_VALUES, compute_recalls
from evaluation.search import search
from evaluation.settings import EvaluationSettings
from training.network import preprocessing_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageList:
    """A published manifest, and the folder that its relative paths lie in."""

    manifest_folder: Path
    images_folder: Path

    def read(self) -> pl.DataFrame:
        """Return the paths and positions of the images.

        Raises:
            UserError: There is no manifest, or it has no image.
        """
        manifest = read_table(self.manifest_folder, "manifest", ["path", *POSITION_COLUMNS])
        if manifest.is_empty():
            raise UserError(
                f"the manifest {self.manifest_folder} of {self.images_folder} has no usable image: "
                "its table of rejects says why"
            )
        return manifest

    def images(self, manifest: pl.DataFrame, shorter_side: int | None, mode: str = "RGB") -> ImageFiles:
        """Return the images of the rows that `read` gave; `shorter_side` in pixels, None for each image's own size."""
        return ImageFiles(self.images_folder, manifest["path"].to_arrow(), shorter_side, mode)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an evaluation found; `recalls` holds R@k by k, in percent, and `predictions` the table PREDICTIONS."""

    recalls: dict[int, float]
    num_queries: int
    num_queries_without_positive: int
    num_database: int
    predictions: pl.DataFrame

    def recalls_table(self, test_set: str) -> pl.DataFrame:
        """Return the table RECALLS, one row for each k."""
        facts = {
            "queries": self.num_queries,
            "queries_without_positive": self.num_queries_without_positive,
            "database_images": self.num_database,
        }
        rows = [{"test_set": test_set, "k": k, "recall": recall, **facts} for k, recall in self.recalls.items()]
        counts = dict.fromkeys(["k", *facts], pl.Int32())
        return pl.DataFrame(rows, schema_overrides=counts)

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
    """Describe both lists with the network, search each query's best matches, and count the right ones.

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
    database_table, query_table = database.read(), queries.read()
    places, query_places = Positions.from_manifest(database_table), Positions.from_manifest(query_table)
    threshold_m = settings.positive_dist_threshold
    num_without_positive = _count_without_positive(places, query_places, threshold_m)

    shorter_side = ImageSize.of(image_size).shorter_side if settings.resize_test_imgs else None
    mode = preprocessing_of(network).mode
    files = [database.images(database_table, shorter_side, mode), queries.images(query_table, shorter_side, mode)]
    descriptors, query_descriptors = _describe(network, files, settings, device, num_workers, on_percentage)
    _, matches = search(descriptors, query_descriptors, max(RECALL_VALUES))

    scores = cosine_similarities(query_descriptors, descriptors, matches)
    distances = distances_m(query_places, np.arange(len(matches))[:, None], places, matches)
    correct = distances <= threshold_m  # the rule of find_positives, on the matches alone
    return Evaluation(
        recalls=compute_recalls(correct),
        num_queries=len(query_table),
        num_queries_without_positive=num_without_positive,
        num_database=len(database_table),
        predictions=predictions_table(query_table["path"], database_table["path"], matches, scores, distances, correct),
    )


def _describe(
    network: nn.Module,
    lists: list[ImageFiles],
    settings: EvaluationSettings,
    device: torch.device,
    num_workers: int,
    on_percentage: Callable[[int], None] | None,
) -> list[Descriptors]:
    with Progress("extracting descriptors", sum(map(len, lists)), "images", on_percentage) as progress:
        return [
            extract_descriptors(
                network,
                images,
                batch_size=settings.infer_batch_size,
                device=device,
                num_workers=num_workers,
                progress=progress,
            )
            for images in lists
        ]


def _count_without_positive(database: Positions, queries: Positions, threshold_m: float) -> int:
    num_queries = len(queries.metres)
    num_without = sum(not len(rows) for rows in find_positives(database, queries, threshold_m))
    if num_without == num_queries:
        logger.warning(
            "none of the %d queries has a database image within %g metres, so every recall will be 0: "
            "do the two lists show one place, and is positive_dist_threshold right?",
            num_queries,
            threshold_m,
        )
    return num_without
