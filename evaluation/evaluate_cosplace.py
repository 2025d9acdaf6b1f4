"""The evaluation stage: from a model and two manifests to published predictions and recalls."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from torch import nn

from data_manifest import schemas
from data_manifest.images.image_size import PUBLISHED_IMAGE_SIZE, ImageSize
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, read_recipe
from data_manifest.tables import read_table, scan_table, write_table
from evaluation.descriptors.batches import check_workers
from evaluation.descriptors.build_descriptors import build_descriptors, open_descriptors
from evaluation.descriptors.extract import Extraction
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.evaluate_network import Evaluation, evaluate, evaluate_matches
from evaluation.metrics.recalls import RECALL_VALUES
from evaluation.metrics.recalls_table import as_text, recalls_table
from evaluation.recipe import (
    comparison_recipe,
    decisive_settings,
    evaluation_recipe,
    recipe_settings,
    resized_to,
    size_for,
    threshold_of,
)
from evaluation.search.find_matches import find_matches
from evaluation.settings import EvaluationSettings, RetrievalSettings
from evaluation.test_sets.named_sets import NamedSet
from training.network.device import resolve_device

logger = logging.getLogger(__name__)


def evaluate_cosplace(
    model: Path,
    backbone: str,
    fc_output_dim: int,
    database: ImageList,
    queries: ImageList,
    artifacts: Path,
    settings: EvaluationSettings | None = None,
    *,
    retrieval: RetrievalSettings | None = None,
    named: NamedSet | None = None,
    image_size: ImageSize | int | None = None,
    grayscale: bool = False,
    device: str = "auto",
    num_workers: int = 8,
    on_percentage: Callable[[int], None] | None = None,
) -> Path:
    """Evaluate a file of weights on a test set, and return the folder of the published predictions and recalls.

    What is published already is not made again. Descriptors are artifacts of their own: those of a database that other
    queries were looked up in are there already.

    Args:
        model: A state dict: `model.pth` of a training, or official weights.
        backbone: The network that it is for, as in ResNet50.
        fc_output_dim: The length of its descriptors.
        database: The reference images.
        queries: The images to localise.
        artifacts: Where artifacts are published.
        settings: The threshold in metres, whether to resize, the batch size.
        retrieval: Precision, way of searching, each k of R@k.
        named: The named test set that these images are (`NAMED_SETS`); it has a threshold of its own.
        image_size: To whose shorter side images are resized, if they are; None means the size in training that the
            file states, or 512 where it states none.
        grayscale: Whether the weights must be those of a network for grayscale images; the file says what they are.
        device: Where the network runs; auto is a GPU if there is one.
        num_workers: Processes that load images.
        on_percentage: Told of the progress of each list.

    Raises:
        UserError: The weights are not those of such a network, a list is empty, or an image cannot be opened.
    """
    settings, retrieval = settings or EvaluationSettings(), retrieval or RetrievalSettings()
    trained = TrainedModel(model, backbone, fc_output_dim, grayscale)
    image_size = size_for(model, settings, image_size)
    asked = read_recipe(queries.manifest_folder)["name"]
    name = named.name if named else asked
    decisive = recipe_settings(settings, image_size, retrieval, named)
    database, queries = database.with_files(), queries.with_files()
    recipe = evaluation_recipe(asked, trained.facts, database.digests(), queries.digests(), decisive)
    if published := find_published(artifacts, recipe):
        return published
    logger.info("evaluating %s on %s", model, name)
    how = Extraction(settings.infer_batch_size, resolve_device(device), num_workers, retrieval.infer_precision)
    shorter_side = resized_to(settings, image_size)
    of_database, of_queries = (
        build_descriptors(trained, images, artifacts, how, resized_to=shorter_side, on_percentage=on_percentage)
        for images in (database, queries)
    )
    described = open_descriptors(of_queries)
    deepest = max(*retrieval.ks, *RECALL_VALUES)
    matches = find_matches(of_database, described, deepest, retrieval.index, artifacts)
    found = evaluate_matches(
        name,
        (database.read(), open_descriptors(of_database)),
        (queries.read(), described),
        matches,
        threshold_of(settings, retrieval, named),
        retrieval.ks,
    )
    recalls = recalls_table(found, name, trained.facts, retrieval, named, resized=settings.resize_test_imgs)
    _log_index(retrieval, matches.size, found)
    folders = {"database_folder": database.images_folder, "queries_folder": queries.images_folder}
    _publish(artifacts, recipe, found, recalls, {name: str(folder.resolve()) for name, folder in folders.items()})
    return recipe.folder(artifacts)


def _log_index(retrieval: RetrievalSettings, size: str | None, found: Evaluation) -> None:
    if size is not None:
        losses = ", ".join(f"R@{k} {loss:+.1f}" for k, loss in found.index_losses.items())
        logger.info("index %s: %s; exact search differs by %s", retrieval.index, size, losses)


def _publish(
    artifacts: Path, recipe: Recipe, found: Evaluation, recalls: pl.DataFrame, folders: dict[str, str]
) -> None:
    warning = recalls["count_warning"][0]
    made = str(found) + (f"; WARNING: {warning}" if warning else "")
    with publishing(artifacts, recipe, {"made": made, **folders}) as staging:
        write_table(found.predictions, staging / "predictions" / "predictions.parquet", schemas.PREDICTIONS)
        write_table(found.breakdown, staging / "breakdown" / "breakdown.parquet", schemas.BREAKDOWN)
        write_table(recalls, staging / "recalls" / "recalls.parquet", schemas.RECALLS)


@dataclass(frozen=True)
class ListedSet:
    """A test set: its two lists of images, and what it is known as, if it is."""

    database: ImageList
    queries: ImageList
    named: NamedSet | None = None


def evaluate_on_sets(
    model: Path, backbone: str, fc_output_dim: int, sets: Sequence[ListedSet], artifacts: Path, **how: Any
) -> Path:
    """Evaluate a model on several test sets, one after the other, and return the folder of the table of all recalls.

    Of one test set, the folder is that of its evaluation. Sets that share a database share its descriptors.

    Args:
        model: As for `evaluate_cosplace`, which takes the other arguments too.
        backbone: Likewise.
        fc_output_dim: Likewise.
        sets: The test sets.
        artifacts: Where artifacts are published.
        how: Settings, device and so on.
    """
    folders = [
        evaluate_cosplace(
            model, backbone, fc_output_dim, each.database, each.queries, artifacts, named=each.named, **how
        )
        for each in sets
    ]
    return folders[0] if len(folders) == 1 else compare_evaluations(folders, artifacts)


def compare_evaluations(folders: Sequence[Path], artifacts: Path) -> Path:
    """Publish the recalls of several evaluations as one table, and return the folder."""
    stored = [read_recipe(folder) for folder in folders]
    recipe = comparison_recipe([(each["name"], each["digest"]) for each in stored])
    if published := find_published(artifacts, recipe):
        return published
    recalls = pl.concat([read_table(folder, "recalls") for folder in folders])
    with publishing(artifacts, recipe, {"made": f"recalls\n{as_text(recalls)}\n"}) as staging:
        write_table(recalls, staging / "recalls" / "recalls.parquet", schemas.RECALLS)
    return recipe.folder(artifacts)


class Validation:
    """What training validates with: gives the recalls of a network on a validation set.

    Args:
        database: The reference images.
        queries: The images to localise.
        evaluation: The threshold in metres, whether to resize, the batch size.
        image_size: To whose shorter side images are resized, if they are.
        device: Where the network runs; auto is a GPU if there is one.
        num_workers: Processes that load images.
    """

    def __init__(
        self,
        database: ImageList,
        queries: ImageList,
        evaluation: EvaluationSettings | None = None,
        *,
        image_size: ImageSize | int = PUBLISHED_IMAGE_SIZE,
        device: str = "auto",
        num_workers: int = 8,
    ) -> None:
        self.database, self.queries = database, queries
        self.evaluation = evaluation or EvaluationSettings()
        self.image_size, self.device, self.num_workers = image_size, device, num_workers

    @property
    def settings(self) -> dict[str, Any]:
        """What the recalls depend on, beside the images."""
        return decisive_settings(self.evaluation, self.image_size)

    @property
    def manifests(self) -> dict[str, str]:
        """Digests of the manifests of the database and the queries."""
        lists = {"database": self.database, "queries": self.queries}
        return {role: read_recipe(each.manifest_folder)["digest"] for role, each in lists.items()}

    @property
    def images(self) -> dict[str, tuple[Path, pl.LazyFrame]]:
        """The folder and the images, with their paths in it, of the `database` and the `queries`."""
        lists = (("database", self.database), ("queries", self.queries))
        return {role: (each.images_folder, scan_table(each.manifest_folder, "manifest")) for role, each in lists}

    def check(self) -> None:
        """Check that each list has an image, that its first can be read, and that workers have enough shared memory.

        Raises:
            UserError: A list has no image, its first is missing or broken, or shared memory is too small.
        """
        for each in (self.database, self.queries):
            images = each.images(each.read(), resized_to(self.evaluation, self.image_size))
            check_workers(images, self.evaluation.infer_batch_size, self.num_workers)
            images[0]

    def __call__(self, network: nn.Module) -> dict[int, float]:
        """Return the recalls of a network, in percent by k."""
        return evaluate(
            network,
            self.database,
            self.queries,
            self.evaluation,
            image_size=self.image_size,
            device=resolve_device(self.device),
            num_workers=self.num_workers,
        ).recalls
