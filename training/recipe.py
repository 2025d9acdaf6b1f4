"""What makes a trained model the one it is. Imports no torch, so that asking whether it is there costs no time."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from data_manifest.store.find import find_artifacts
from data_manifest.store.recipe import Recipe, digest_of_file, read_recipe
from data_manifest.store.references import RUNS
from training.data.settings import AugmentationSettings
from training.network.settings import IMAGENET, RANDOM, NetworkSettings
from training.settings import TrainingSettings

STAGE, VERSION = "training", 1
GROWING = ("epochs_num", "patience")  # settings that a run may be given other values of on its way
IMAGES_FOLDER = "images_folder"  # in a model's summary: where the images that it was trained on lay


def decisive_settings(
    network: NetworkSettings, augmentation: AugmentationSettings, training: TrainingSettings
) -> dict[str, Any]:
    """Return by name the settings that a trained model depends on; files of weights by their content.

    Raises:
        UserError: A file of weights cannot be read.
    """
    settings = {**network.as_dict(), **augmentation.as_dict(), **training.as_dict()}
    if network.resume_model is not None:
        settings["resume_model"] = digest_of_file(network.resume_model)
    if network.backbone_weights not in (IMAGENET, RANDOM):
        settings["backbone_weights"] = digest_of_file(Path(network.backbone_weights))
    return settings


class ValidationSet(Protocol):
    """What the best model depends on beside its training."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the validation, as JSON knows them."""

    @property
    def manifests(self) -> Mapping[str, str]:
        """Digests of the manifests of its database and queries."""


def training_recipe(
    groups: Mapping[str, Any], settings: dict[str, Any], validation: ValidationSet, folders: Sequence[str]
) -> Recipe:
    """Return what makes a trained model.

    Args:
        groups: The recipe of the groups, with `digest`, as `read_recipe` gives it.
        settings: What `decisive_settings` gave.
        validation: What the best model is chosen by.
        folders: The identities of the image folders, as `data_set_identity` gives them: two data sets may have the
            same names of images, and so the same groups.
    """
    more = {"grouping": dict(groups["settings"]), "validation": dict(validation.settings)}
    inputs = {"groups": groups["digest"], "validation": dict(validation.manifests), "folders": list(folders)}
    return Recipe(STAGE, groups["name"], VERSION, {**settings, **more}, inputs)


def run_folder(artifacts: Path, recipe: Recipe) -> Path:
    """Return the folder in which a training keeps its checkpoints: the same one however long it goes on."""
    settings = {key: value for key, value in recipe.settings.items() if key not in GROWING}
    return artifacts / RUNS / recipe.name / dataclasses.replace(recipe, settings=settings).digest


def run_of(artifacts: Path, model: Path) -> Path:
    """Return the run folder of a published model."""
    stored = read_recipe(model)
    recipe = Recipe(**{field.name: stored[field.name] for field in dataclasses.fields(Recipe)})
    return run_folder(artifacts, recipe)


def finished_training(artifacts: Path, recipe: Recipe, images_folder: Path) -> Path | None:
    """Return the newest model of a data set and its settings, whatever its images were then; None if there is none.

    A finished training stays finished when images are added, and when their folder is moved or renamed: days of work
    are not repeated unasked.

    Args:
        artifacts: Where artifacts are published.
        recipe: What makes the model. Of its inputs, only the identity of the folder of training images counts.
        images_folder: That folder, by which models are recognized whose recipe has no identities yet.
    """
    wanted = {key: value for key, value in recipe.as_dict().items() if key not in ("inputs", "name")}
    for path in find_artifacts(artifacts, recipe, any_name=True):
        found = read_recipe(path)
        if found.items() >= wanted.items() and _is_of(found, recipe.inputs["folders"][0], images_folder):
            return path
    return None


def _is_of(model: Mapping[str, Any], identity: str, images_folder: Path) -> bool:
    """Return whether a model, given by its recipe, was trained on a folder of images."""
    if folders := model["inputs"].get("folders"):
        return bool(folders[0] == identity)
    return bool(model["summary"][IMAGES_FOLDER] == str(images_folder.resolve()))
