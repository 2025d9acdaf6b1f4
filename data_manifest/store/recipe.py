"""Recipes: what makes an artifact, its digest, and `recipe.json` in a published artifact."""

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
    """Return a short digest of a JSON value, the same whatever the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:DIGEST_LENGTH]


def digest_of_file(path: Path) -> str:
    """Return a digest of a file's content.

    Raises:
        UserError: There is no such file.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST_LENGTH]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What makes an artifact.

    Args:
        stage: One of `data_manifest.store.references.STAGES`, as in "groups".
        name: The data set, as in `processed-train`; it tells artifacts apart for people, the digest does it for us.
        version: The version of the stage's code: raised when the same inputs come to give other rows.
        settings: The settings that make the artifact what it is.
        inputs: The digests of what it is made from.
    """

    stage: str
    name: str
    version: int
    settings: Mapping[str, Any]
    inputs: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON knows it."""
        return {**dataclasses.asdict(self), "schema_version": SCHEMA_VERSION}

    @property
    def digest(self) -> str:
        """The artifact's digest; its name is not a part: the same rows under two names are the same rows."""
        return digest_of({key: value for key, value in self.as_dict().items() if key != "name"})

    def stored(self) -> dict[str, Any]:
        """Return the recipe with its digest, as `read_recipe` gives it of a published artifact."""
        return {"digest": self.digest, **self.as_dict()}

    def folder(self, artifacts: Path) -> Path:
        """Return where the artifact lies once it is published."""
        return artifacts / self.stage / self.name / self.digest


def is_published(folder: Path) -> bool:
    """Return whether an artifact is there, whole: it came by one rename, and its recipe with it.

    Raises:
        UserError: The folder cannot be looked into.
    """
    try:
        return (folder / RECIPE_FILE).is_file()
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}; choose --artifacts-folder") from error


def read_recipe(folder: Path) -> dict[str, Any]:
    """Return the recipe of a published artifact, with its digest.

    Raises:
        UserError: The folder is no published artifact.
    """
    try:
        recipe: dict[str, Any] = json.loads((folder / RECIPE_FILE).read_text())
    except FileNotFoundError:
        raise UserError(f"{folder} is no published artifact: it has no {RECIPE_FILE}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / RECIPE_FILE} is damaged ({error}): remove {folder} and run again") from error
    if not isinstance(recipe, dict):
        raise UserError(f"{folder / RECIPE_FILE} is no recipe: remove {folder} and run again")
    return recipe
