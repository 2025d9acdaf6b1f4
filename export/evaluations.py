"""Find the published evaluations of the model that is exported. Imports no torch."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.store.find import find_artifact, find_recipes, read_recipe_of
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.settings import EXACT, FP32
from evaluation.test_sets.named_sets import has_ground_truth

REPEATED = {"index": EXACT, "infer_precision": FP32}  # how recalls of an exported model are measured


def evaluations_of(model: TrainedModel, artifacts: Path) -> list[Path]:
    """Return the newest evaluation of a model on each test set that has recalls in fp32 by exact search, by path."""
    newest: dict[str, Path] = {}
    for folder, name in _usual(model, artifacts):
        newest.setdefault(name, folder)
    return sorted(newest.values())


def _usual(model: TrainedModel, artifacts: Path) -> Iterator[tuple[Path, str]]:
    """Yield the evaluations of a model whose recalls can be compared, and their names, newest first."""
    for folder, recipe in find_recipes(artifacts, "evaluation"):
        if recipe["inputs"].get("model") == model.digests.digest and not _why_not(recipe["settings"]):
            yield folder, recipe["name"]


def evaluation_to_repeat(model: TrainedModel, artifacts: Path, given: Path | None) -> list[Path]:
    """Return the evaluation to repeat with an exported model: the given one, or the newest in fp32 by exact search.

    Returns:
        One folder; none if the model has no such evaluation.

    Raises:
        UserError: The given evaluation is not one of this model, or its recalls cannot be compared.
    """
    if given is not None:
        folder = find_artifact(given)
        recipe = read_recipe_of(folder, "export", ("evaluation",))
        if recipe["inputs"].get("model") != model.digests.digest:
            raise UserError(f"evaluation = {given}: it is not of {model.path}. Give an evaluation of this model.")
        if reason := _why_not(recipe["settings"]):
            raise UserError(f"evaluation = {given}: {reason}. Give an evaluation in fp32 by exact search.")
        return [folder]
    return [folder for folder, _ in itertools.islice(_usual(model, artifacts), 1)]


def _why_not(settings: Mapping[str, Any]) -> str:
    """Return why the recalls of an evaluation cannot be compared with those of an exported model; empty if they can."""
    if not has_ground_truth(settings.get("test_set")):
        return f"its test set, {settings['test_set']}, has no ground truth"
    differing = [f"{name} = {settings[name]}" for name, usual in REPEATED.items() if settings.get(name, usual) != usual]
    return f"it has {' and '.join(differing)}" if differing else ""
