"""Recipes of descriptors, evaluations and comparisons. Imports neither torch nor faiss."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from data_manifest.store.recipe import Recipe, digest_of_file, is_published, read_recipe
from data_manifest.store.references import WEIGHTS
from evaluation.settings import EXACT, METRES, RECALL_VALUES, WITHIN_25_M, Extraction, Threshold
from evaluation.test_sets.named_sets import NamedSet

VERSION = 5  # raise when equal inputs give other predictions, recalls, breakdowns or certainties
DESCRIPTORS_VERSION = 3  # raise when equal inputs give other descriptors, or the artifact has other files
COMPARISON_VERSION = 2  # raise when equal evaluations give another table


@dataclasses.dataclass(frozen=True)
class ModelDigests:
    """Digests and network that identify a model in a recipe."""

    digest: str  # of a published training, or of the content of another file of weights
    weights: str  # digest of the file's content: the same training may give other weights the next time
    backbone: str
    fc_output_dim: int
    method: Mapping[str, Any] | None = None  # how a method of others is loaded, and its preprocessing

    @classmethod
    def of(cls, file: Path, backbone: str, fc_output_dim: int) -> Self:
        """Return the digests of a file of weights; raises UserError if it does not exist."""
        if not is_published(file.parent):
            content = digest_of_file(file)
            return cls(content, content, backbone, fc_output_dim)
        training = read_recipe(file.parent)
        weights = training.get("summary", {}).get(WEIGHTS) or digest_of_file(file)
        return cls(training["digest"], weights, backbone, fc_output_dim)

    def recipe(self, stage: str, name: str, version: int, settings: Mapping[str, Any], inputs: Any) -> Recipe:
        """Return the recipe of a result of the model, with these settings and inputs and the model's own."""
        network = {"backbone": self.backbone, "fc_output_dim": self.fc_output_dim}
        method = {} if self.method is None else {"method": self.method}
        own = {"model": self.digest, WEIGHTS: self.weights}
        return Recipe(stage, name, version, {**network, **method, **settings}, {**own, **inputs})


@dataclasses.dataclass(frozen=True)
class ImageDigests:
    """Digests of a list of images: of its manifest, and of the sizes and times of its files."""

    manifest: str
    files: str


def evaluation_settings(
    extraction: Extraction,
    threshold: Threshold = WITHIN_25_M,
    index: str = EXACT,
    recall_values: tuple[int, ...] = RECALL_VALUES,
    named: NamedSet | None = None,
) -> dict[str, Any]:
    """Return the settings of an evaluation recipe. A named test set has its own threshold."""
    threshold = named.threshold if named else threshold
    return {
        **validation_settings(extraction, threshold.value),
        "infer_precision": extraction.precision,
        "index": index,
        "recall_values": ",".join(map(str, recall_values)),
        "positive_dist_unit": threshold.unit,
        "test_set": named.name if named else None,
    }


def threshold_of(settings: Mapping[str, Any]) -> Threshold:
    """Return the threshold that the settings of an evaluation recipe state; older ones state no unit: metres."""
    return Threshold(settings["positive_dist_threshold"], settings.get("positive_dist_unit", METRES))


def evaluation_recipe(
    name: str, model: ModelDigests, database: ImageDigests, queries: ImageDigests, settings: Mapping[str, Any]
) -> Recipe:
    """Return the recipe of an evaluation, with the settings of `evaluation_settings`."""
    manifests = {"database": database.manifest, "queries": queries.manifest}
    files = {files_key("database"): database.files, files_key("queries"): queries.files}
    return model.recipe("evaluation", name, VERSION, settings, {**manifests, **files})


def files_key(role: str) -> str:
    """Return the name of the files' digest of the database or the queries in an evaluation's inputs."""
    return f"{role}_files"


def descriptors_recipe(name: str, model: ModelDigests, images: ImageDigests, extraction: Extraction) -> Recipe:
    """Return the recipe of descriptors."""
    settings = {"resized_to": extraction.resized_to, "precision": extraction.precision}
    inputs = {"images": images.manifest, "files": images.files}
    return model.recipe("descriptors", name, DESCRIPTORS_VERSION, settings, inputs)


def recipe_of_sets(evaluations: list[Recipe]) -> Recipe:
    """Return the recipe of the result on some test sets: of one evaluation, its own, else that of their comparison."""
    if len(evaluations) == 1:
        return evaluations[0]
    return comparison_recipe([(recipe.name, recipe.digest) for recipe in evaluations])


def comparison_recipe(evaluations: list[tuple[str, str]]) -> Recipe:
    """Return the recipe of a table of recalls on several test sets, from the evaluations' names and digests."""
    names, digests = ([each[part] for each in evaluations] for part in (0, 1))
    return Recipe("comparison", "test-sets", COMPARISON_VERSION, {"test_sets": names}, {"evaluations": digests})


def validation_settings(extraction: Extraction, positive_dist_threshold: float) -> dict[str, Any]:
    """Return the settings that recalls in validation depend on."""
    return {"positive_dist_threshold": float(positive_dist_threshold), "resized_to": extraction.resized_to}
