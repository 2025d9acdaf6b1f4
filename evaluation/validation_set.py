"""The validation set of a training: gives the recalls of a network, without writing artifacts."""

import functools
from typing import Any

import polars as pl
from torch import nn

from data_manifest.images.images_folder import ImagesFolder
from data_manifest.progress import Progress
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import scan_table
from evaluation.descriptors.batches import check_workers
from evaluation.descriptors.distributed import all_gather_descriptors, rows_of_rank, world_size
from evaluation.descriptors.extract import extract_descriptors
from evaluation.descriptors.image_list import ImageList
from evaluation.metrics.evaluation import Evaluation, evaluate_matches
from evaluation.recipe import validation_settings
from evaluation.search.find_matches import exact_matches
from evaluation.settings import RECALL_VALUES, WITHIN_25_M, Extraction, Threshold
from training.network.preprocessing import preprocessing_of


class ValidationSet:
    """A database and queries that a network is evaluated on during training; the threshold is in metres."""

    def __init__(
        self,
        database: ImageList,
        queries: ImageList,
        extraction: Extraction | None = None,
        positive_dist_threshold: float = WITHIN_25_M.value,
    ) -> None:
        self.database, self.queries = database, queries
        self.extraction, self.threshold = extraction or Extraction(), Threshold(positive_dist_threshold)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that recalls depend on."""
        return validation_settings(self.extraction, self.threshold.value)

    @property
    def manifests(self) -> dict[str, str]:
        """Digests of the manifests of the `database` and of the `queries`."""
        lists = (("database", self.database), ("queries", self.queries))
        return {role: read_recipe(each.manifest_folder)["digest"] for role, each in lists}

    @property
    def images(self) -> dict[str, tuple[ImagesFolder, pl.LazyFrame]]:
        """Folder and manifest of the `database` and of the `queries`."""
        lists = (("database", self.database), ("queries", self.queries))
        return {role: (each.images_folder, scan_table(each.manifest_folder, "manifest")) for role, each in lists}

    def check(self) -> None:
        """Check that each list has a readable first image, and that shared memory can hold the workers' batches.

        Raises:
            UserError: A list is empty, its first image is missing or damaged, or shared memory is too small.
        """
        for each in (self.database, self.queries):
            images = each.dataset(each.read(), self.extraction.resized_to)
            check_workers(images, self.extraction.batch_size, self.extraction.num_workers)
            images[0]

    def __call__(self, network: nn.Module) -> dict[int, float]:
        """Return the recalls of a network in percent, by k."""
        return self.evaluate(network).recalls

    def evaluate(self, network: nn.Module) -> Evaluation:
        """Return the evaluation of a network by exact search.

        Raises:
            UserError: A list is missing or empty, or an image cannot be opened.
        """
        database, queries = self.database.read(), self.queries.read()
        preprocessing = preprocessing_of(network)
        opened = self.extraction.resized_to, preprocessing.mode, preprocessing.interpolation
        datasets = self.database.dataset(database, *opened), self.queries.dataset(queries, *opened)
        own_images = sum(len(rows_of_rank(len(images))) for images in datasets)
        ranks = f" by each of {world_size()} ranks" if world_size() > 1 else ""
        with Progress(f"extracting descriptors{ranks}", own_images, "images") as progress:
            extract = functools.partial(extract_descriptors, network, extraction=self.extraction, progress=progress)
            of_database, of_queries = (all_gather_descriptors(extract, images) for images in datasets)
        matches = exact_matches(of_database, of_queries, max(RECALL_VALUES))
        return evaluate_matches("", database, queries, matches, self.threshold)
