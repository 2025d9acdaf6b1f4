"""Calibrate the certainty of a photo on the queries of an evaluation with the same database, model and search."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from data_manifest.store.find import find_by_digest, find_recipes
from data_manifest.store.recipe import read_recipe
from data_manifest.store.references import MANIFEST_STAGES, WEIGHTS
from data_manifest.tables import read_table
from evaluation.metrics.certainty import CALIBRATED, SIGNS
from evaluation.metrics.recalls import wilson_interval
from evaluation.recipe import ImageDigests, ModelDigests, files_key, threshold_of
from evaluation.settings import Extraction, Threshold
from evaluation.test_sets.named_sets import has_ground_truth

MIN_QUERIES = 50  # that a share rests on, if the evaluation has as many
TABLE = "certainty"
# Columns of the manifest that decide which matches are correct.
PLACE = ("path", "utm_east", "utm_north", "utm_zone", "utm_band", "latitude", "pano_id")


@dataclass(frozen=True)
class Certainty:
    """The share, in percent, of the test queries as certain as a photo whose first match is correct."""

    percent: float
    low: float  # ends of its 95 % interval
    high: float
    queries: int  # that it rests on
    within: str  # largest distance of a correct match, as in "25 metres"

    def __str__(self) -> str:
        return (
            f"correct (within {self.within}) for {self.percent:.3g} % of the {self.queries:,} test queries as certain "
            f"as this (95 % interval {self.low:.0f} to {self.high:.0f} %)"
        )


@dataclass(frozen=True, eq=False)
class Calibration:
    """The certainties of the queries of an evaluation, in rising order of certainty, and which are correct."""

    threshold: Threshold
    values: npt.NDArray[np.float64]  # [num_queries]; high values are certain
    correct: npt.NDArray[np.bool_]

    @classmethod
    def read(cls, evaluation: Path) -> Self:
        """Read the queries of an evaluation."""
        threshold = threshold_of(read_recipe(evaluation)["settings"])
        return cls.of(read_table(evaluation, TABLE, [CALIBRATED, "correct"]), threshold)

    @classmethod
    def of(cls, queries: pl.DataFrame, threshold: Threshold) -> Self:
        """Return the calibration of a table CERTAINTY, of queries with this threshold."""
        values = SIGNS[CALIBRATED] * queries[CALIBRATED].to_numpy()
        order = np.argsort(values, kind="stable")
        return cls(threshold, values[order], queries["correct"].to_numpy()[order])

    def certainty_of(self, value: float) -> Certainty:
        """Return how often the nearest `MIN_QUERIES` queries in the order of certainty are correct.

        Queries as certain as one of them count too, so that the order of equal ones does not matter.
        """
        value, num_queries = SIGNS[CALIBRATED] * value, len(self.values)
        middle = sum(np.searchsorted(self.values, value, side) for side in ("left", "right")) // 2
        first = max(0, min(int(middle) - MIN_QUERIES // 2, num_queries - MIN_QUERIES))
        last = min(first + MIN_QUERIES, num_queries) - 1
        first = int(np.searchsorted(self.values, self.values[first], "left"))
        end = int(np.searchsorted(self.values, self.values[last], "right"))
        hits, count = int(self.correct[first:end].sum()), end - first
        return Certainty(100 * hits / count, *wilson_interval(hits, count), count, str(self.threshold))


def find_calibration(
    artifacts: Path,
    model: ModelDigests,
    database: ImageDigests,
    extraction: Extraction,
    index: str,
    preferred: Path | None = None,
) -> Path | None:
    """Return the evaluation of a model on a database, with the same extraction and index; None if there is none.

    Of several, that is `preferred`, else the newest.
    """
    found = [
        folder
        for folder, recipe in find_recipes(artifacts, "evaluation")
        if (folder / TABLE).is_dir()
        and has_ground_truth(recipe["settings"].get("test_set"))
        and _searches(recipe, model, extraction, index)
        and _has_images(recipe["inputs"], database, artifacts)
    ]
    return preferred if preferred in found else found[0] if found else None


def _has_images(inputs: Mapping[str, Any], database: ImageDigests, artifacts: Path) -> bool:
    """Return whether an evaluation's database has these images at these positions.

    Manifests may differ: those of a folder of photos and of a test set can list the same images.
    """
    if inputs.get(files_key("database")) != database.files:
        return False
    digests = inputs["database"], database.manifest
    if digests[0] == digests[1]:
        return True
    manifests = [find_by_digest(artifacts, digest, *MANIFEST_STAGES) for digest in digests]
    tables = [read_table(manifest, "manifest", list(PLACE)) for manifest in manifests if manifest]
    return len(tables) == 2 and tables[0].equals(tables[1])


def _searches(recipe: Mapping[str, Any], model: ModelDigests, extraction: Extraction, index: str) -> bool:
    """Return whether an evaluation has this model, and matches found in this way."""
    inputs, settings = recipe["inputs"], recipe["settings"]
    if model.method is not None and inputs.get("model") != model.digest:  # other code
        return False
    if settings.get("method") != model.method:
        return False
    found = inputs.get(WEIGHTS), *(settings.get(name) for name in ("resized_to", "infer_precision", "index"))
    return found == (model.weights, extraction.resized_to, extraction.precision, index)
