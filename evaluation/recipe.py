"""What makes descriptors and an evaluation what they are. Imports neither torch nor faiss."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from data_manifest.errors import UserError
from data_manifest.images.image_size import PUBLISHED_IMAGE_SIZE, ImageSize
from data_manifest.store.recipe import Recipe, digest_of_file, is_published, read_recipe
from data_manifest.store.references import WEIGHTS
from evaluation.settings import EvaluationSettings, RetrievalSettings, Threshold
from evaluation.test_sets.named_sets import NamedSet

VERSION = 4
DESCRIPTORS_VERSION = 3
COMPARISON_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Model:
    """A model that is evaluated.

    Args:
        digest: Digest of a published training, or of the content of another file of weights.
        weights: Digest of the content of the file, because the same recipe may give other weights the next time.
        backbone: The network.
        fc_output_dim: The dimension of its descriptors.
    """

    digest: str
    weights: str
    backbone: str
    fc_output_dim: int

    @classmethod
    def of(cls, file: Path, backbone: str, fc_output_dim: int) -> Self:
        """Return the model in a file of weights.

        Raises:
            UserError: There is no such file.
        """
        if not is_published(file.parent):
            content = digest_of_file(file)
            return cls(content, content, backbone, fc_output_dim)
        training = read_recipe(file.parent)
        weights = training.get("summary", {}).get(WEIGHTS) or digest_of_file(file)
        return cls(training["digest"], weights, backbone, fc_output_dim)

    @property
    def inputs(self) -> dict[str, str]:
        """The digests, as a recipe names them."""
        return {"model": self.digest, WEIGHTS: self.weights}

    @property
    def network(self) -> dict[str, Any]:
        """The network, as a recipe names it."""
        return {"backbone": self.backbone, "fc_output_dim": self.fc_output_dim}


@dataclasses.dataclass(frozen=True)
class ImageDigests:
    """Digests of a list of images: its manifest, and the states of its files."""

    manifest: str
    files: str


def given_model(path: Path, backbone: str, fc_output_dim: int, defaults: tuple[str, int]) -> Model:
    """Return the model in a file of weights: a published training says itself which network it is.

    Args:
        path: The file.
        backbone: What is asked for.
        fc_output_dim: Likewise.
        defaults: What these two are where nothing is asked for.

    Raises:
        UserError: There is no such file, or it is that of another network than the one asked for.
    """
    asked: dict[str, Any] = {"backbone": backbone, "fc_output_dim": fc_output_dim}
    if not is_published(path.parent):
        return Model.of(path, **asked)
    settings = read_recipe(path.parent)["settings"]
    for (name, value), default in zip(asked.items(), defaults, strict=True):
        if value not in (default, settings[name]):
            raise UserError(f"{name} = {value}: {path} has {settings[name]}; leave it out, or give another model")
    return Model.of(path, **{name: settings[name] for name in asked})


def resized_to(settings: EvaluationSettings, image_size: ImageSize | int) -> int | None:
    """Return the pixels that the shorter side of each image is resized to, if it is."""
    return ImageSize.of(image_size).shorter_side if settings.resize_test_imgs else None


def decisive_settings(settings: EvaluationSettings, image_size: ImageSize | int) -> dict[str, Any]:
    """Return by name what the recalls of a model depend on; `image_size` only where images are resized to it."""
    return {
        "positive_dist_threshold": settings.positive_dist_threshold,
        "resized_to": resized_to(settings, image_size),
    }


def threshold_of(settings: EvaluationSettings, retrieval: RetrievalSettings, named: NamedSet | None) -> Threshold:
    """Return what counts as a positive: what a named test set says, or else the settings."""
    return named.threshold if named else Threshold(settings.positive_dist_threshold, retrieval.positive_dist_unit)


def recipe_settings(
    settings: EvaluationSettings,
    image_size: ImageSize | int,
    retrieval: RetrievalSettings,
    named: NamedSet | None = None,
) -> dict[str, Any]:
    """Return by name what the tables of an evaluation depend on."""
    threshold = threshold_of(settings, retrieval, named)
    return {
        **decisive_settings(settings, image_size),
        **retrieval.as_dict(),
        "positive_dist_threshold": threshold.value,
        "positive_dist_unit": threshold.unit,
        "test_set": named.name if named else None,
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
    from training.network.weights import stated_image_size  # late: torch takes seconds to import

    return stated_image_size(model) or PUBLISHED_IMAGE_SIZE


def evaluation_recipe(
    name: str, model: Model, database: ImageDigests, queries: ImageDigests, settings: Mapping[str, Any]
) -> Recipe:
    """Return what makes an evaluation: a model, two lists of images, and what `recipe_settings` gave."""
    inputs = model.inputs
    for role, images in (("database", database), ("queries", queries)):
        inputs |= {role: images.manifest, files_of(role): images.files}
    return Recipe("evaluation", name, VERSION, {**model.network, **settings}, inputs)


def files_of(role: str) -> str:
    """Return the key of the files' digest of the database or the queries in an evaluation's inputs."""
    return f"{role}_files"


def descriptors_recipe(name: str, model: Model, images: ImageDigests, resized_to: int | None, precision: str) -> Recipe:
    """Return what makes descriptors: a model, a list of images, their size, and the numbers that are computed with."""
    settings = {**model.network, "resized_to": resized_to, "precision": precision}
    inputs = {**model.inputs, "images": images.manifest, "files": images.files}
    return Recipe("descriptors", name, DESCRIPTORS_VERSION, settings, inputs)


def recipe_of_sets(evaluations: list[Recipe]) -> Recipe:
    """Return what makes the result of an evaluation on some test sets: of one, that is the evaluation itself."""
    named = [(recipe.name, recipe.digest) for recipe in evaluations]
    return evaluations[0] if len(evaluations) == 1 else comparison_recipe(named)


def comparison_recipe(evaluations: list[tuple[str, str]]) -> Recipe:
    """Return what makes a table of one model's recalls on several test sets: evaluations, by name and digest."""
    names, digests = ([each[part] for each in evaluations] for part in (0, 1))
    return Recipe("comparison", "test-sets", COMPARISON_VERSION, {"test_sets": names}, {"evaluations": digests})
