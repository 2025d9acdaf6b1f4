"""Find the artifacts that a report shows: evaluations, their images, and the training and groups of the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from data_manifest.errors import UserError
from data_manifest.store.find import find_by_digest
from data_manifest.store.recipe import read_recipe
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
        """Read the recipe of an artifact; raises UserError if the folder is not one."""
        return cls(folder, read_recipe(folder))

    def find_input(self, artifacts: Path, role: str, *stages: str) -> "Artifact | None":
        """Return the artifact that was its input in this role, or None if it is not in the artifacts folder."""
        digest = self.recipe["inputs"].get(role)
        folder = find_by_digest(artifacts, digest, *stages) if digest else None
        return Artifact.read(folder) if folder else None


@dataclass(frozen=True)
class ImageSet:
    """A manifest and the folder that its paths start from."""

    manifest: Artifact
    folder: Path


@dataclass(frozen=True)
class EvaluatedSet:
    """An evaluation and its images."""

    evaluation: Artifact
    database: ImageSet
    queries: ImageSet

    @property
    def name(self) -> str:
        """The name of the test set."""
        return str(self.evaluation.recipe["name"])

    @property
    def unit(self) -> str:
        """The unit of distances: metres, or frames if images are numbered along a ride."""
        return str(self.evaluation.recipe["settings"].get("positive_dist_unit", METRES))


@dataclass(frozen=True)
class ReportInputs:
    """The evaluations of one model and, if it was trained in this artifacts folder, its training."""

    test_sets: Sequence[EvaluatedSet]
    training: Artifact | None
    groups: Artifact | None
    train_images: Artifact | None

    def artifacts(self) -> list[Artifact]:
        """Return every artifact once, from the training images to the evaluations."""
        chain = [self.train_images, self.groups, self.training]
        for each in self.test_sets:
            chain += [each.database.manifest, each.queries.manifest, each.evaluation]
        return list({artifact.folder: artifact for artifact in chain if artifact is not None}.values())


def find_inputs(requested: Path, artifacts: Path, folders: Mapping[ImageDigests, Path] | None = None) -> ReportInputs:
    """Find everything that led to an evaluation, or to a comparison of several.

    Args:
        requested: Folder of the evaluation or comparison.
        artifacts: Artifacts folder that holds its inputs.
        folders: Image folders by digest; by default those that were evaluated.

    Raises:
        UserError: The evaluation, a manifest of its images, or a folder of images is missing.
    """
    evaluations = _find_evaluations(Artifact.read(requested), artifacts)
    training = evaluations[0].find_input(artifacts, "model", "training")
    groups = training and training.find_input(artifacts, "groups", "groups")
    train_images = groups and groups.find_input(artifacts, "manifest", *MANIFEST_STAGES)
    test_sets = [
        EvaluatedSet(each, *(_find_images(artifacts, each, role, folders or {}) for role in ("database", "queries")))
        for each in evaluations
    ]
    return ReportInputs(test_sets, training, groups, train_images)


def _find_evaluations(requested: Artifact, artifacts: Path) -> list[Artifact]:
    if requested.recipe["stage"] == "evaluation":
        return [requested]
    digests = requested.recipe["inputs"].get("evaluations")
    if not digests:
        raise UserError(f"{requested.folder} is of the stage {requested.recipe['stage']}. Pass an evaluation.")
    names = requested.recipe["settings"]["test_sets"]  # needed because a copy of a set has the same digest
    return [
        Artifact.read(artifacts / "evaluation" / name / digest) for name, digest in zip(names, digests, strict=True)
    ]


def _find_images(artifacts: Path, evaluation: Artifact, role: str, folders: Mapping[ImageDigests, Path]) -> ImageSet:
    inputs = evaluation.recipe["inputs"]
    digests = ImageDigests(inputs.get(role, ""), inputs.get(files_key(role), ""))
    manifest = evaluation.find_input(artifacts, role, *MANIFEST_STAGES)
    if manifest is None:
        raise UserError(
            f"The manifest {digests.manifest} of the {role} of {evaluation.folder} is not in {artifacts}. "
            "Run BuildManifest or EvaluateCosPlace again."
        )
    folder = folders.get(digests, Path(evaluation.recipe["summary"][f"{role}_folder"]))
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder. The report shows images of the {role} from it.")
    return ImageSet(manifest, folder)
