"""What a report is made from: the evaluation, and what led to it, found in the artefacts folder by their digests."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from data_manifest.artefacts import is_published, read_recipe
from data_manifest.errors import UserError


@dataclass(frozen=True)
class Artefact:
    """A published artefact and its recipe."""

    folder: Path
    recipe: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read an artefact's recipe.

        Raises:
            UserError: The folder is no published artefact.
        """
        return cls(folder, read_recipe(folder))

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings that made it."""
        settings: Mapping[str, Any] = self.recipe["settings"]
        return settings

    @property
    def title(self) -> str:
        """What it is called, as in `training sf-xl-processed-train`."""
        return f"{self.recipe['stage']} {self.recipe['name']}"


@dataclass(frozen=True)
class Sources:
    """An evaluation with its images, and with its model's training where that was done in this artefacts folder."""

    evaluation: Artefact
    database: Artefact
    queries: Artefact
    training: Artefact | None
    groups: Artefact | None
    train_images: Artefact | None

    @classmethod
    def of(cls, evaluation: Path, artifacts: Path) -> Self:
        """Find what an evaluation was made from.

        Raises:
            UserError: There is no such evaluation, or the manifests of its images are gone.
        """
        evaluated = Artefact.read(evaluation)
        if evaluated.recipe["stage"] != "evaluation":
            raise UserError(f"{evaluation} is of the stage {evaluated.recipe['stage']}: a report shows an evaluation")
        database, queries = (_needed(artifacts, evaluated, role) for role in ("database", "queries"))
        training = _input(artifacts, "training", evaluated, "model")
        groups = training and _input(artifacts, "groups", training, "groups")
        train_images = groups and _input(artifacts, "manifest", groups, "manifest")
        return cls(evaluated, database, queries, training, groups, train_images)

    def all(self) -> list[Artefact]:
        """Return the artefacts, from the images to the evaluation."""
        chain = (self.train_images, self.groups, self.training, self.database, self.queries, self.evaluation)
        return [artefact for artefact in chain if artefact is not None]


def _needed(artifacts: Path, evaluation: Artefact, role: str) -> Artefact:
    found = _input(artifacts, "manifest", evaluation, role)
    if found is None:
        digest = evaluation.recipe["inputs"].get(role)
        raise UserError(
            f"the manifest {digest} of the {role} of {evaluation.folder} is not in {artifacts}: "
            "build it again with BuildManifest, or evaluate again"
        )
    return found


def _input(artifacts: Path, stage: str, artefact: Artefact, role: str) -> Artefact | None:
    """Return an input of an artefact, published under whatever name, or None if it is not there."""
    digest = artefact.recipe["inputs"].get(role)
    found = (artifacts / stage).glob(f"*/{digest}") if digest else iter(())
    return next((Artefact.read(folder) for folder in sorted(found) if is_published(folder)), None)
