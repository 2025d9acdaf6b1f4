"""The recipe of a trained model, and where models and runs are. Imports no torch."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_manifest.images.data_set_names import data_set_identity
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.images.packs.open_packs import find_packs
from data_manifest.store.find import find_artifacts, find_recipes
from data_manifest.store.recipe import Recipe, digest_of_file, read_recipe
from data_manifest.store.references import RUNS
from training.data.settings import AugmentationSettings
from training.network.settings import IMAGENET, RANDOM, NetworkSettings
from training.settings import TrainingSettings

STAGE, VERSION = "training", 2  # raise VERSION when equal settings give other weights, or a column another meaning
GROWING = ("epochs_num", "patience")  # settings that a resumed run may change
IMAGES_FOLDER = "images_folder"  # in a model's summary: the folder of its training images
COPIES = "copies"  # in a model's settings: how the images that it was trained on were made smaller
DATA_SET = "data_set"  # in a model's summary: the settings that find the other parts of its data set


def decisive_settings(
    network: NetworkSettings,
    augmentation: AugmentationSettings,
    training: TrainingSettings,
    packs: ImagesFolder | None = None,
) -> dict[str, Any]:
    """Return by name the settings that a trained model depends on; weights files by their digest.

    Packs count only if they have smaller copies of the images.

    Raises:
        UserError: A weights file or the packs cannot be read.
    """
    settings = {**network.as_dict(), **augmentation.as_dict(), **training.as_dict()}
    if packs is not None and (form := find_packs(packs).form):
        settings[COPIES] = form
    if network.resume_model is not None:
        settings["resume_model"] = digest_of_file(network.resume_model)
    if network.backbone_weights not in (IMAGENET, RANDOM):
        settings["backbone_weights"] = digest_of_file(Path(network.backbone_weights))
    return settings


def training_recipe(
    groups: Mapping[str, Any],
    settings: dict[str, Any],
    validation: Mapping[str, Any],
    manifests: Mapping[str, str],
    folders: Sequence[str],
) -> Recipe:
    """Return the recipe of a trained model.

    Args:
        groups: Recipe of the groups with `digest`, from `read_recipe`.
        settings: Settings from `decisive_settings`.
        validation: Settings of the validation, as JSON types.
        manifests: Digests of the manifests of the validation `database` and `queries`.
        folders: Identities of the image folders, from `data_set_identity`: two data sets with equal image names have
            equal groups.
    """
    more = {"grouping": dict(groups["settings"]), "validation": dict(validation)}
    inputs = {"groups": groups["digest"], "validation": dict(manifests), "folders": list(folders)}
    return Recipe(STAGE, groups["name"], VERSION, {**settings, **more}, inputs)


def identity_of_images(images_folder: ImagesFolder, artifacts: Path, packs: ImagesFolder | None) -> str:
    """Return the identity of the training images, from their packs if there are any.

    Raises:
        UserError: The packs are of another folder of images, or cannot be read.
    """
    if packs is None:
        return data_set_identity(images_folder, artifacts)
    return find_packs(packs).identity_of(images_folder, artifacts)


def run_folder(artifacts: Path, recipe: Recipe) -> Path:
    """Return the folder of a run's checkpoints, which does not depend on the number of epochs."""
    settings = {key: value for key, value in recipe.settings.items() if key not in GROWING}
    return artifacts / RUNS / recipe.name / dataclasses.replace(recipe, settings=settings).digest


def run_of(artifacts: Path, model: Path) -> Path:
    """Return the run folder of a published model."""
    stored = read_recipe(model)
    recipe = Recipe(**{field.name: stored[field.name] for field in dataclasses.fields(Recipe)})
    return run_folder(artifacts, recipe)


def finished_training(artifacts: Path, recipe: Recipe, images_folder: ImagesFolder) -> Path | None:
    """Return the newest model with the settings of a recipe and its training images folder, or None.

    The images may have changed, and their folder may have been renamed since: training is not repeated unasked. The
    folder's path identifies it for models from before recipes contained identities.
    """
    wanted = {key: value for key, value in recipe.as_dict().items() if key not in ("inputs", "name")}
    for path in find_artifacts(artifacts, recipe.stage):
        found = read_recipe(path)
        if found.items() >= wanted.items() and _is_of(found, recipe.inputs["folders"][0], images_folder):
            return path
    return None


def trained_on(artifacts: Path, recipe: Recipe, images_folder: ImagesFolder) -> list[tuple[Path, dict[str, Any]]]:
    """Return the models of a recipe's training images folder with their recipes, newest first.

    Untrained networks are left out.
    """
    return [
        (path, found)
        for path, found in find_recipes(artifacts, recipe.stage)
        if found["settings"]["epochs_num"] and _is_of(found, recipe.inputs["folders"][0], images_folder)
    ]


def _is_of(model: Mapping[str, Any], identity: str, images_folder: ImagesFolder) -> bool:
    """Return whether a model, given by its recipe, was trained on a folder of images."""
    if folders := model["inputs"].get("folders"):
        return bool(folders[0] == identity)
    return bool(model["summary"][IMAGES_FOLDER] == str(images_folder.resolve()))
