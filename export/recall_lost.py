"""Measure the recall that an ONNX file of reduced precision loses, on a published evaluation of its model."""

from pathlib import Path

import polars as pl

from data_manifest.errors import UserError
from data_manifest.images.file_states import stat_manifest
from data_manifest.progress import Progress
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from evaluation.descriptors.extract import Descriptors, extract_descriptors
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.onnx_network import OnnxNetwork
from evaluation.metrics.evaluation import evaluate_matches
from evaluation.recipe import files_key, threshold_of
from evaluation.report.find_inputs import EvaluatedSet, ImageSet, find_inputs
from evaluation.search.find_matches import exact_matches
from evaluation.settings import Extraction
from training.network.preprocessing import preprocessing_of


def find_unchanged(evaluation: Path, artifacts: Path) -> EvaluatedSet:
    """Return the images of an evaluation.

    Raises:
        UserError: They are gone, or have changed since.
    """
    evaluated = find_inputs(evaluation, artifacts).test_sets[0]
    _check_unchanged(evaluated)
    return evaluated


def measure_recall_lost(file: Path, evaluated: EvaluatedSet) -> str:
    """Return, in words, the recalls of an evaluation and those of an ONNX file of its model on the same images."""
    recalls = read_table(evaluated.evaluation.folder, "recalls", ["k", "recall"]).sort("k")
    found = _recalls_of(OnnxNetwork(file), evaluated, recalls["k"].to_list())
    changes = (f"R@{k} {full:.1f} -> {found[k]:.1f} ({found[k] - full:+.1f})" for k, full in recalls.iter_rows())
    return f"{evaluated.title}: {', '.join(changes)}"


def _check_unchanged(evaluated: EvaluatedSet) -> None:
    """Raise UserError if images have changed, so that their recalls would differ for another reason."""
    for role, images in (("database", evaluated.database), ("queries", evaluated.queries)):
        recorded = evaluated.evaluation.recipe["inputs"].get(files_key(role))
        if recorded and stat_manifest(images.manifest.folder, images.folder).digest != recorded:
            raise UserError(
                f"{images.folder}: images have changed since {evaluated.evaluation.folder}. Evaluate the model again."
            )


def _recalls_of(network: OnnxNetwork, evaluated: EvaluatedSet, ks: list[int]) -> dict[int, float]:
    settings = read_recipe(evaluated.evaluation.folder)["settings"]
    extraction = Extraction(resized_to=settings["resized_to"])
    database, queries = (_embed(network, images, extraction) for images in (evaluated.database, evaluated.queries))
    matches = exact_matches(database[1], queries[1], max(ks))
    return evaluate_matches(evaluated.name, database[0], queries[0], matches, threshold_of(settings), tuple(ks)).recalls


def _embed(network: OnnxNetwork, images: ImageSet, extraction: Extraction) -> tuple[pl.DataFrame, Descriptors]:
    listed, preprocessing = ImageList(images.manifest.folder, images.folder), preprocessing_of(network)
    manifest = listed.read()
    dataset = listed.dataset(manifest, extraction.resized_to, preprocessing.mode, preprocessing.interpolation)
    with Progress(f"embedding {images.manifest.recipe['name']}", len(dataset), "images") as progress:
        return manifest, extract_descriptors(network, dataset, extraction, progress)
