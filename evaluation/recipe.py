"""What makes an evaluation the one it is. Imports neither torch nor faiss."""

import dataclasses
from pathlib import Path
from typing import Any

from data_manifest.artefacts import Recipe, digest_of, digest_of_file, is_published, read_recipe
from data_manifest.image_size import PUBLISHED_IMAGE_SIZE, ImageSize
from evaluation.settings import EvaluationSettings

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Model:
    """What is evaluated: the digest of the weights, and the network that they are for."""

    digest: str
    backbone: str
    fc_output_dim: int


def decisive_settings(settings: EvaluationSettings, image_size: ImageSize | int) -> dict[str, Any]:
    """Return by name what the recalls of a model depend on; `image_size` only where images are resized to it."""
    return {
        "positive_dist_threshold": settings.positive_dist_threshold,
        "resized_to": ImageSize.of(image_size).plain if settings.resize_test_imgs else None,
    }


def size_for(model: Path, settings: EvaluationSettings, image_size: ImageSize | int | None) -> ImageSize:
    """Return the size to whose shorter side images are resized, if they are.

    Args:
        model: The file of weights.
        settings: Whether images are resized.
        image_size: The size that is asked for; None means what the file states, or as published where it states none.

    Raises:
        UserError: The file cannot be read.
    """
    if image_size is not None:
        return ImageSize.of(image_size)
    if not settings.resize_test_imgs:
        return PUBLISHED_IMAGE_SIZE
    from training.network import stated_image_size  # late: torch takes seconds to import

    return stated_image_size(model) or PUBLISHED_IMAGE_SIZE


def evaluation_recipe(
    name: str, model: Model, database_digest: str, queries_digest: str, settings: dict[str, Any]
) -> Recipe:
    """Return what makes an evaluation: a model, two lists of images, and what `decisive_settings` gave."""
    network = {"backbone": model.backbone, "fc_output_dim": model.fc_output_dim}
    inputs = {"model": model.digest, "database": database_digest, "queries": queries_digest}
    return Recipe("evaluation", name, VERSION, {**network, **settings}, inputs)


def validation_digest(database_digest: str, queries_digest: str) -> str:
    """Return a digest of the images of a validation set, from those of their manifests."""
    return digest_of({"database": database_digest, "queries": queries_digest})


def model_digest(model: Path) -> str:
    """Return the digest of a published model, or of the content of any other file of weights.

    Raises:
        UserError: There is no such file.
    """
    if is_published(model.parent):
        return str(read_recipe(model.parent)["digest"])
    return digest_of_file(model)
