"""Find the published evaluations of the model that is exported. Imports no torch."""

from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.store.find import find_artifact, find_recipes, read_recipe_of
from data_manifest.store.recipe import Recipe
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.settings import EXACT, FP32

ALL = Recipe("evaluation", "", 0, {}, {})


def evaluations_of(model: TrainedModel, artifacts: Path) -> list[Path]:
    """Return the published evaluations of a model, sorted by path."""
    digest = model.digests.digest
    return sorted(
        folder for folder, each in find_recipes(artifacts, ALL, True) if each["inputs"].get("model") == digest
    )


def evaluation_to_repeat(model: TrainedModel, artifacts: Path, given: Path | None) -> list[Path]:
    """Return the evaluation to repeat with an exported model: the given one, or the newest in fp32 by exact search.

    Returns:
        One folder; none if the model has no such evaluation.

    Raises:
        UserError: The given evaluation is not one of this model.
    """
    if given is not None:
        folder = find_artifact(given)
        recipe = read_recipe_of(folder, "export", ("evaluation",))
        if recipe["inputs"].get("model") != model.digests.digest:
            raise UserError(f"evaluation = {given}: it is not of {model.path}. Give an evaluation of this model.")
        return [folder]
    usual = {"index": EXACT, "infer_precision": FP32}.items()
    for folder, recipe in find_recipes(artifacts, ALL, True):
        if recipe["inputs"].get("model") == model.digests.digest and usual <= recipe["settings"].items():
            return [folder]
    return []
