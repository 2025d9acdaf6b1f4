"""Find the artifacts that a report shows: evaluations, their images, and the training and groups of the model."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesFolder, as_images_folder, is_missing
from data_manifest.store.find import find_by_digest, find_recipes
from data_manifest.store.recipe import read_recipe
from data_manifest.store.references import MANIFEST_STAGES
from evaluation.recipe import ImageDigests, files_key, threshold_of
from evaluation.test_sets.named_sets import has_ground_truth

IMAGE_KEYS = [key for role in ("database", "queries") for key in (role, files_key(role))]
START = ("backbone", "fc_output_dim", "backbone_weights", "resume_model")  # settings of a network before training


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
    folder: ImagesFolder


@dataclass(frozen=True)
class EvaluatedSet:
    """An evaluation with its images and, if known, the same evaluation of the untrained network."""

    evaluation: Artifact
    database: ImageSet
    queries: ImageSet
    untrained: Artifact | None = None

    @property
    def name(self) -> str:
        """The name of the test set."""
        return str(self.evaluation.recipe["name"])

    @property
    def title(self) -> str:
        """The name in words, as in "demo-city, test queries v1"."""
        found = re.fullmatch("(.+)-(test|val)-(.+)", self.name)
        return f"{found[1]}, {found[2]} {found[3].replace('_', ' ')}" if found else self.name

    @property
    def threshold(self) -> float:
        """The radius of positives, in units of `unit`."""
        return threshold_of(self.evaluation.recipe["settings"]).value

    @property
    def unit(self) -> str:
        """The unit of distances: metres, or frames if images are numbered along a ride."""
        return threshold_of(self.evaluation.recipe["settings"]).unit


@dataclass(frozen=True)
class ReportInputs:
    """The evaluations of one model and, if it was trained in this artifacts folder, its training.

    `unmeasured` are the evaluations without ground truth, which have no recalls to report.
    """

    test_sets: Sequence[EvaluatedSet]
    training: Artifact | None
    groups: Artifact | None
    train_images: Artifact | None
    unmeasured: Sequence[Artifact] = ()

    def artifacts(self) -> list[Artifact]:
        """Return every artifact once, from the training images to the evaluations."""
        chain = [self.train_images, self.groups, self.training]
        for each in self.test_sets:
            chain += [each.database.manifest, each.queries.manifest, each.evaluation]
        return list({artifact.folder: artifact for artifact in chain if artifact is not None}.values())


def find_inputs(
    requested: Path, artifacts: Path, folders: Mapping[ImageDigests, ImagesFolder] | None = None
) -> ReportInputs:
    """Find everything that led to an evaluation, or to a comparison of several.

    Args:
        requested: Folder of the evaluation or comparison.
        artifacts: Artifacts folder that holds its inputs.
        folders: Image folders by digest; by default those that were evaluated.

    Raises:
        UserError: The evaluation, a manifest of its images, or a folder of images is missing, or there are no recalls.
    """
    found = _find_evaluations(Artifact.read(requested), artifacts)
    evaluations = [each for each in found if has_ground_truth(each.recipe["settings"].get("test_set"))]
    unmeasured = [each for each in found if each not in evaluations]
    if not evaluations:
        raise UserError(f"{requested}: its test set has no ground truth, so there are no recalls to report.")
    training = evaluations[0].find_input(artifacts, "model", "training")
    groups = training and training.find_input(artifacts, "groups", "groups")
    train_images = groups and groups.find_input(artifacts, "manifest", *MANIFEST_STAGES)
    test_sets = []
    for each in evaluations:
        database, queries = (_find_images(artifacts, each, role, folders or {}) for role in ("database", "queries"))
        untrained = training and _find_untrained(artifacts, each, training)
        test_sets.append(EvaluatedSet(each, database, queries, untrained))
    return ReportInputs(test_sets, training, groups, train_images, unmeasured)


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


def _find_untrained(artifacts: Path, evaluation: Artifact, training: Artifact) -> Artifact | None:
    """Return the newest evaluation of the network before training, on the same images and with the same settings."""
    start = {key: training.recipe["settings"].get(key) for key in START}
    if training.recipe["settings"].get("epochs_num") == 0:
        return None

    def images(recipe: Mapping[str, Any]) -> list[Any]:
        return [recipe["settings"], *(recipe["inputs"].get(key) for key in IMAGE_KEYS)]

    for folder, recipe in find_recipes(artifacts, "evaluation"):
        if recipe["digest"] == evaluation.recipe["digest"]:
            continue
        other = Artifact(folder, recipe)
        if images(recipe) == images(evaluation.recipe) and (model := other.find_input(artifacts, "model", "training")):
            settings = model.recipe["settings"]
            if settings.get("epochs_num") == 0 and start == {key: settings.get(key) for key in START}:
                return other
    return None


def _find_images(
    artifacts: Path, evaluation: Artifact, role: str, folders: Mapping[ImageDigests, ImagesFolder]
) -> ImageSet:
    inputs = evaluation.recipe["inputs"]
    digests = ImageDigests(inputs.get(role, ""), inputs.get(files_key(role), ""))
    manifest = evaluation.find_input(artifacts, role, *MANIFEST_STAGES)
    if manifest is None:
        what = f"The manifest {digests.manifest} of the {role} of {evaluation.folder}"
        raise UserError(f"{what} is not in {artifacts}. Evaluate again.")
    folder = folders.get(digests, as_images_folder(evaluation.recipe["summary"][f"{role}_folder"]))
    if is_missing(folder):
        raise UserError(f"{folder}: no such folder. The report shows images of the {role} from it.")
    return ImageSet(manifest, folder)
