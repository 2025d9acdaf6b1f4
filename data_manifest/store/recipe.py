"""Recipes: the inputs and settings of an artifact, their digest, and `recipe.json` in a published artifact."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.schemas import SCHEMA_VERSION

CURRENT = "current"
RECIPE_FILE = "recipe.json"
DIGEST_LENGTH = 16


def digest_of(value: Any) -> str:
    """Return a short digest of a JSON value; the order of keys does not matter."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:DIGEST_LENGTH]


def digest_of_file(path: Path) -> str:
    """Return a digest of a file's content.

    Raises:
        UserError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST_LENGTH]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The inputs and settings that determine an artifact."""

    stage: str  # one of `STAGES`, such as groups
    name: str  # the data set, such as processed-train; not part of the digest
    version: int  # of the stage's code, raised when equal inputs give other rows
    settings: Mapping[str, Any]  # those that the content depends on
    inputs: Mapping[str, Any]  # digests

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON types."""
        return {**dataclasses.asdict(self), "schema_version": SCHEMA_VERSION}

    @property
    def digest(self) -> str:
        """The digest of all but the name: equal content under two names has one digest."""
        return digest_of({key: value for key, value in self.as_dict().items() if key != "name"})

    def stored(self) -> dict[str, Any]:
        """Return the recipe with its digest, in the form that `read_recipe` returns."""
        return {"digest": self.digest, **self.as_dict()}

    def folder(self, artifacts: Path) -> Path:
        """Return the folder of the artifact when published."""
        return artifacts / self.stage / self.name / self.digest


def is_published(folder: Path) -> bool:
    """Return whether a folder is a published artifact.

    Raises:
        UserError: The folder cannot be read.
    """
    try:
        return (folder / RECIPE_FILE).is_file()
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}; choose --artifacts-folder") from error


def read_recipe(folder: Path) -> dict[str, Any]:
    """Return the recipe of a published artifact, with its digest.

    Raises:
        UserError: The folder is not a published artifact, or its recipe is damaged.
    """
    try:
        recipe: dict[str, Any] = json.loads((folder / RECIPE_FILE).read_text())
    except FileNotFoundError:
        raise UserError(f"{folder} is not a published artifact: it has no {RECIPE_FILE}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / RECIPE_FILE} is damaged ({error}): remove {folder} and run again") from error
    if not isinstance(recipe, dict):
        raise UserError(f"{folder / RECIPE_FILE} is not a recipe: remove {folder} and run again")
    return {**recipe, "summary": nest_counts(recipe["summary"])} if "summary" in recipe else recipe


def nest_counts(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Return counts with `{"rejects: not UTF-8": 3}` as `{"rejects": {"not UTF-8": 3}}`.

    Partitions store the former, and so did recipes, beside the total as `rejects`, which is left out.
    """
    nested = {key: value for key, value in counts.items() if key != "rejects" or isinstance(value, dict)}
    for key in counts:
        kind, _, what = key.partition(": ")
        if what:
            nested.setdefault(kind, {})[what] = nested.pop(key)
    return nested
