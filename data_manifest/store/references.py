"""Who uses which artifacts: a recipe names its inputs by their digests.

Users are artifacts themselves; runs under `runs/`, of training above all, which may go on any day; and builds that
are writing just now, whose staging folders carry the recipe. One that does not say what its inputs are has a problem.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.store.find import list_artifacts
from data_manifest.store.recipe import RECIPE_FILE, read_recipe
from data_manifest.store.staging import STAGING, dead_staging

# Each is made from those before it.
STAGES = (
    *("crops", "manifest", "checks", "verified", "groups", "training", "seeds"),
    *("descriptors", "index", "evaluation", "comparison", "report"),
)
MANIFEST_STAGES = ("manifest", "verified")  # whose artifacts hold the tables manifest and rejects
CHECK_STAGES = ("checks", "crops")  # whose artifacts say of each file a status: ok, or what is wrong
LIST_SUFFIX = "_images_paths.txt"  # of a list of images, beside their folder
WEIGHTS = "weights"  # key of the digest of a model's weights, in summaries of trainings and inputs of evaluations
RUNS, RUN_FILE = "runs", "run.json"  # in the folder of a run: the recipe of what it makes
REMOVED = "removed-"  # begins the last part of the name of a staging folder in which an artifact waits to be deleted


@dataclass(frozen=True)
class User:
    """Something that was made, or is being made, from artifacts.

    Args:
        label: What it is called in a message.
        stage: The stage that makes it.
        inputs: The digests of what it is made from; None if it does not say.
        problem: Why not.
    """

    label: str
    stage: str
    inputs: frozenset[str] | None
    problem: str = ""


@dataclass(frozen=True)
class Artifact(User):
    """A published artifact."""

    folder: Path = Path()

    @property
    def digest(self) -> str:
        """Its digest, by which others name it."""
        return self.folder.name


def read_artifacts(artifacts: Path) -> list[Artifact]:
    """Return all published artifacts, sorted by path; a damaged one has a problem."""
    return [_read_artifact(folder) for folder in list_artifacts(artifacts)]


def _read_artifact(folder: Path) -> Artifact:
    stage, label = folder.parent.parent.name, "/".join(folder.parts[-3:])
    try:
        recipe = read_recipe(folder)
        if recipe["digest"] == folder.name:
            return Artifact(label, stage, _digests(recipe["inputs"]), folder=folder)
        problem = f"{folder} is not what its {RECIPE_FILE} says: remove it if it is not needed"
    except UserError as error:
        problem = str(error)
    except (LookupError, TypeError):
        problem = f"{folder / RECIPE_FILE} is no recipe: remove {folder} and run again"
    return Artifact(label, stage, None, problem, folder)


def _digests(inputs: Any) -> frozenset[str]:
    """Return the texts in a recipe's inputs, however deep."""
    if isinstance(inputs, str):
        return frozenset([inputs])
    if isinstance(inputs, Mapping):
        inputs = inputs.values()
    return frozenset().union(*map(_digests, inputs)) if isinstance(inputs, Iterable) else frozenset()


def read_users(artifacts: Path) -> list[User]:
    """Return who uses artifacts without being one: training runs, and builds that are not certainly dead."""
    return [*_runs(artifacts), *_builds(artifacts)]


def _runs(artifacts: Path) -> Iterator[User]:
    for folder in sorted(path for path in (artifacts / RUNS).glob("*/*") if path.is_dir()):
        inputs = _read_inputs(folder / RUN_FILE)
        label = f"the run {folder.parent.name}/{folder.name}"
        yield User(label, "training", inputs, "" if inputs is not None else f"{label} says not what it trains on")


def _builds(artifacts: Path) -> Iterator[User]:
    dead = set(dead_staging(artifacts))
    for folder in sorted(path for path in (artifacts / STAGING).glob("*~*~*~*") if path.is_dir()):
        if folder in dead or folder.name.rpartition("~")[2].startswith(REMOVED):
            continue
        inputs = _read_inputs(folder / RECIPE_FILE)
        label = f"the build in {folder}"
        yield User(label, "", inputs, "" if inputs is not None else f"{label} says not what it reads")


def _read_inputs(recipe: Path) -> frozenset[str] | None:
    """Return the inputs in a recipe's file, or None if it is not there, not whole yet, or damaged."""
    try:
        return _digests(json.loads(recipe.read_text())["inputs"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def folder_of(origin: Path) -> Path:
    """Return the images folder of a listing that came of it, or of the list file beside it."""
    return Path(str(origin).removesuffix(LIST_SUFFIX))
