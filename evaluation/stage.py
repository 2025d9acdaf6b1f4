"""The evaluation stage: from a model and two manifests to published predictions and recalls."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from data_manifest import schemas
from data_manifest.artefacts import find_published, publishing, read_recipe
from data_manifest.errors import UserError
from data_manifest.image_size import PUBLISHED_IMAGE_SIZE, ImageSize
from data_manifest.tables import write_table
from evaluation.evaluate import ImageList, evaluate
from evaluation.recipe import (
    Model,
    decisive_settings,
    evaluation_recipe,
    model_digest,
    size_for,
    validation_digest,
)
from evaluation.settings import EvaluationSettings
from training.network import load_network, resolve_device

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
    image_size: ImageSize | int | None = None,
    grayscale: bool = False,
    device: str = "auto",
    num_workers: int = 8,
    on_percentage: Callable[[int], None] | None = None,
) -> Path:
    """Evaluate a file of weights on a test set, and return the folder of the published predictions and recalls.

    What is published already is not made again.

    Args:
        model: A state dict: `model.pth` of a training, or official weights.
        backbone: The network that it is for, as in ResNet50.
        fc_output_dim: The length of its descriptors.
        database: The reference images.
        queries: The images to localise.
        artifacts: Where artefacts are published.
        settings: The threshold in metres, whether to resize, the batch size.
        image_size: To whose shorter side images are resized, if they are; None means the size in training that the
            file states, or 512 where it states none.
        grayscale: Whether the weights must be those of a network for grayscale images; the file says what they are.
        device: Where the network runs; auto is a GPU if there is one.
        num_workers: Processes that load images.
        on_percentage: Told of the progress.

    Raises:
        UserError: The weights are not those of such a network, a list is empty, or an image cannot be opened.
    """
    settings = settings or EvaluationSettings()
    asked, against = read_recipe(queries.manifest_folder), read_recipe(database.manifest_folder)
    evaluated = Model(model_digest(model), backbone, fc_output_dim)
    image_size = size_for(model, settings, image_size)
    decisive = decisive_settings(settings, image_size)
    recipe = evaluation_recipe(asked["name"], evaluated, against["digest"], asked["digest"], decisive)
    if published := find_published(artifacts, recipe):
        return published
    logger.info("evaluating %s", model)
    network = load_network(model, backbone, fc_output_dim)
    if grayscale and network.preprocessing.channels != 1:
        raise UserError(f"grayscale: {model} is for images in colour; leave --grayscale out, or train with it first")
    found = evaluate(
        network,
        database,
        queries,
        settings,
        image_size=image_size,
        device=resolve_device(device),
        num_workers=num_workers,
        on_percentage=on_percentage,
    )
    with publishing(artifacts, recipe, {"made": str(found)}) as staging:
        write_table(found.predictions, staging / "predictions" / "predictions.parquet", schemas.PREDICTIONS)
        write_table(found.recalls_table(asked["name"]), staging / "recalls" / "recalls.parquet", schemas.RECALLS)
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
    def digest(self) -> str:
        """A digest of the images."""
        database, queries = (read_recipe(each.manifest_folder)["digest"] for each in (self.database, self.queries))
        return validation_digest(database, queries)

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
