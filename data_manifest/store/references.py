"""Which artifacts use which: a recipe names its inputs by their digests."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.store.find import list_artifacts
from data_manifest.store.recipe import RECIPE_FILE, read_recipe
from data_manifest.store.staging import REMOVED, STAGING, dead_staging

STAGES = (  # each reads only the artifacts of stages before it
    *("crops", "manifest", "checks", "verified", "groups", "packs", "training", "seeds"),
    *("descriptors", "index", "evaluation", "comparison", "report", "export"),
)
MANIFEST_STAGES = ("manifest", "verified")  # their artifacts have the tables manifest and rejects
CHECK_STAGES = ("checks", "crops")  # their artifacts have a status for each file
LIST_SUFFIX = "_images_paths.txt"  # ends the name of a list file, which is beside the images folder
WEIGHTS = "weights"  # key of the digest of a model's weights, in summaries of trainings and inputs of evaluations
WITHOUT_POSITIONS = "without_positions"  # key in the settings of manifests whose images have none
RUNS, RUN_FILE = "runs", "run.json"  # the folder of unfinished work, and the recipe of what it builds


@dataclass(frozen=True)
class User:
    """A published artifact, a training run or a running build, with the digests of its inputs."""

    label: str
    inputs: frozenset[str]


@dataclass(frozen=True)
class Artifact(User):
    """A published artifact."""

    folder: Path  # <artifacts>/<stage>/<name>/<digest>


def read_artifacts(artifacts: Path) -> list[Artifact]:
    """Return all published artifacts, sorted by path.

    Raises:
        UserError: A recipe is damaged.
    """
    found = []
    for folder in list_artifacts(artifacts):
        recipe = read_recipe(folder)
        if recipe.get("digest") != folder.name or "inputs" not in recipe:
            raise UserError(f"{folder / RECIPE_FILE} does not describe this artifact. Remove {folder} and run again.")
        found.append(Artifact("/".join(folder.parts[-3:]), _digests(recipe["inputs"]), folder))
    return found


def _digests(inputs: Any) -> frozenset[str]:
    """Return the strings in a recipe's inputs, at any depth."""
    if isinstance(inputs, str):
        return frozenset([inputs])
    if isinstance(inputs, Mapping):
        inputs = inputs.values()
    return frozenset().union(*map(_digests, inputs)) if isinstance(inputs, Iterable) else frozenset()


def read_users(artifacts: Path) -> list[User]:
    """Return the training runs and the running builds, which use artifacts without being one yet.

    Raises:
        UserError: One of them has no readable recipe.
    """
    runs = ((f"the run {run.parent.name}/{run.name}", run / RUN_FILE) for run in _folders(artifacts / RUNS, "*/*"))
    dead = dead_staging(artifacts)
    builds = (
        (f"the build in {build}", build / RECIPE_FILE)
        for build in _folders(artifacts / STAGING, "*~*~*~*")
        if build not in dead and not build.name.rpartition("~")[2].startswith(REMOVED)
    )
    return [User(label, _read_inputs(label, recipe)) for label, recipe in (*runs, *builds)]


def _folders(parent: Path, pattern: str) -> list[Path]:
    return sorted(path for path in parent.glob(pattern) if path.is_dir())


def _read_inputs(label: str, recipe: Path) -> frozenset[str]:
    try:
        return _digests(json.loads(recipe.read_text())["inputs"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{label} does not say what it uses: {recipe} is missing or damaged. If it has just started, try again in "
            "a moment; otherwise remove it."
        ) from error
