"""What a report is made from: evaluations, and what led to them, found in the artifacts folder by their digests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from data_manifest.errors import UserError
from data_manifest.store.find import find_by_digest
from data_manifest.store.recipe import is_published, read_recipe
from data_manifest.store.references import MANIFEST_STAGES
from evaluation.recipe import ImageDigests, files_key
from evaluation.settings import METRES


@dataclass(frozen=True)
class Artifact:
    """A published artifact and its recipe."""

    folder: Path
    recipe: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read an artifact's recipe.

        Raises:
            UserError: The folder is no published artifact.
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
class Images:
    """A manifest, and the folder that its paths lie in."""

    manifest: Artifact
    folder: Path


@dataclass(frozen=True)
class Tested:
    """An evaluation, and the images that it is of."""

    evaluation: Artifact
    database: Images
    queries: Images

    @property
    def name(self) -> str:
        """What the test set is called."""
        return str(self.evaluation.recipe["name"])

    @property
    def unit(self) -> str:
        """What distances are counted in: metres or, where images are numbered along a ride, frames."""
        return str(self.evaluation.settings.get("positive_dist_unit", METRES))


@dataclass(frozen=True)
class Sources:
    """What a report is on: evaluations of a model and, where it was trained in this artifacts folder, its training."""

    asked: Artifact
    tested: Sequence[Tested]
    training: Artifact | None
    groups: Artifact | None
    train_images: Artifact | None

    @classmethod
    def of(cls, asked: Path, artifacts: Path, folders: Mapping[ImageDigests, Path] | None = None) -> Self:
        """Find what an evaluation, or a comparison of several, was made from.

        Args:
            asked: Its folder.
            artifacts: Where its inputs are published.
            folders: Folders of images, by their digests; by default those that were evaluated.

        Raises:
            UserError: There is no such evaluation, or the manifests of its images, or the images, are gone.
        """
        found = Artifact.read(asked)
        evaluations = _evaluations(found, artifacts)
        training = _input(artifacts, evaluations[0], "model", "training")
        groups = training and _input(artifacts, training, "groups", "groups")
        train_images = groups and _input(artifacts, groups, "manifest", *MANIFEST_STAGES)
        tested = [
            Tested(each, *(_images(artifacts, each, role, folders or {}) for role in ("database", "queries")))
            for each in evaluations
        ]
        return cls(found, tested, training, groups, train_images)

    def all(self) -> list[Artifact]:
        """Return the artifacts, from the images to the evaluations."""
        of_sets = [
            part for each in self.tested for part in (each.database.manifest, each.queries.manifest, each.evaluation)
        ]
        chain = [self.train_images, self.groups, self.training, *of_sets]
        return list({artifact.folder: artifact for artifact in chain if artifact is not None}.values())


def _evaluations(asked: Artifact, artifacts: Path) -> list[Artifact]:
    """Return the evaluations that are asked for: one, or those of which a comparison is made."""
    if asked.recipe["stage"] == "evaluation":
        return [asked]
    digests = asked.recipe["inputs"].get("evaluations")
    if not digests:
        raise UserError(f"{asked.folder} is of the stage {asked.recipe['stage']}: a report shows evaluations")
    names = asked.settings["test_sets"]  # two sets may have the same digest, as a set and its copy
    folders = [artifacts / "evaluation" / name / digest for name, digest in zip(names, digests, strict=True)]
    missing = [folder.name for folder in folders if not is_published(folder)]
    if missing:
        raise UserError(
            f"the evaluations {', '.join(missing)} of {asked.folder} are not in {artifacts}: evaluate again"
        )
    return [Artifact.read(folder) for folder in folders]


def _images(artifacts: Path, evaluation: Artifact, role: str, folders: Mapping[ImageDigests, Path]) -> Images:
    inputs = evaluation.recipe["inputs"]
    digest, files = inputs.get(role, ""), inputs.get(files_key(role), "")
    manifest = _published(artifacts, digest, *MANIFEST_STAGES)
    if manifest is None:
        raise UserError(
            f"the manifest {digest} of the {role} of {evaluation.folder} is not in {artifacts}: "
            "build it again with BuildManifest, or evaluate again"
        )
    evaluated = Path(evaluation.recipe["summary"][f"{role}_folder"])
    folder = folders.get(ImageDigests(digest, files), evaluated)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; the report shows the images of the {role} in it")
    return Images(manifest, folder)


def _input(artifacts: Path, artifact: Artifact, role: str, *stages: str) -> Artifact | None:
    """Return what an artifact was made from in a role, or None if that is not there."""
    return _published(artifacts, artifact.recipe["inputs"].get(role, ""), *stages)


def _published(artifacts: Path, digest: str, *stages: str) -> Artifact | None:
    folder = find_by_digest(artifacts, digest, *stages) if digest else None
    return Artifact.read(folder) if folder else None
