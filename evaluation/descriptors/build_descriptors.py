"""Extract the descriptors of a list of images as an artifact.

Chunks are written to the run folder `<artifacts>/runs/<name>/<digest>/`, where an interrupted run resumes.
"""

import logging
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl

from data_manifest import schemas
from data_manifest.errors import UserError, writing_in
from data_manifest.images.file_states import changed_images
from data_manifest.progress import Progress
from data_manifest.store.files import link_or_copy
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import read_recipe
from data_manifest.store.references import RUNS
from data_manifest.store.run_folders import only_writer, write_run_file
from data_manifest.tables import write_table
from evaluation.descriptors.chunked_array import ChunkedArray
from evaluation.descriptors.extract import CHUNK_IMAGES, Descriptors, extract_chunks
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.open_image import size_rule_of
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.recipe import descriptors_recipe
from evaluation.settings import Extraction
from training.network.preprocessing import preprocessing_of

ARRAY = "descriptors.npy"
FILES = "files"
IMAGES_FOLDER = "images_folder"  # key of the summary
logger = logging.getLogger(__name__)


def build_descriptors(
    model: TrainedModel,
    images: ImageList,
    artifacts: Path,
    extraction: Extraction,
    *,
    on_percentage: Callable[[int], None] | None = None,
    chunk_images: int = CHUNK_IMAGES,
) -> Path:
    """Extract the descriptors [num_images, dim], float32, of a list of images, and return the published folder.

    Rows are in the order of the manifest and of the table FILES. Published descriptors of the same files are reused. An
    interrupted run resumes at its last chunk, unless files changed.

    Raises:
        UserError: The weights or an image cannot be read, an image changed while it was being embedded, the disk is
            full, or another process extracts the same descriptors.
    """
    images, name = images.with_states(), read_recipe(images.manifest_folder)["name"]
    recipe = descriptors_recipe(name, model.digests, images.digests(), extraction)
    summary = {IMAGES_FOLDER: str(images.images_folder.resolve())}
    if published := find_published(artifacts, recipe, adopt=summary):
        return published
    run = artifacts / RUNS / recipe.name / recipe.digest
    with writing_in(artifacts), only_writer(run):
        if published := find_published(artifacts, recipe):  # by another process, until just now
            return published
        write_run_file(run, recipe)
        states = images.read_states()
        preprocessing = preprocessing_of(model.network)
        opened = preprocessing.mode, preprocessing.interpolation, size_rule_of(model.network)
        dataset = images.dataset(images.read(), extraction.resized_to, *opened)
        array = ChunkedArray(run / ARRAY, (len(dataset), model.fc_output_dim))
        if array.done:
            logger.info("%s: resuming at image %s of %s", array.path, f"{array.done:,}", f"{len(dataset):,}")
        with (
            Progress("extracting descriptors", len(dataset), "images", on_percentage, array.done) as progress,
            closing(extract_chunks(model.network, dataset, extraction, progress, array.done, chunk_images)) as chunks,
        ):
            for chunk in chunks:
                _check_unchanged(states[array.done : array.done + len(chunk)], images.images_folder, run)
                array.append(chunk)
        summary["made"] = _describe(len(dataset), model.fc_output_dim, images.count_rejects())
        with publishing(artifacts, recipe, summary) as staging:
            link_or_copy(run / ARRAY, staging / ARRAY)
            write_table(states, staging / FILES / f"{FILES}.parquet", schemas.FILES)
        shutil.rmtree(run, ignore_errors=True)
    return recipe.folder(artifacts)


def _describe(num_images: int, dimensions: int, rejects: Mapping[str, int]) -> str:
    """Return how many images were embedded, and how many rejected and why."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in rejects.items())
    rejected = f"; {sum(rejects.values()):,} rejected: {reasons}" if rejects else ""
    return f"{num_images:,} images embedded in {dimensions} dimensions{rejected}"


def _check_unchanged(states: pl.DataFrame, images_folder: Path, run: Path) -> None:
    changed = changed_images(states, images_folder)
    if len(changed):
        shutil.rmtree(run, ignore_errors=True)  # the same files will not come back
        file = images_folder / changed["path"][0]
        raise UserError(f"{file}: changed while it was being embedded. Run the same command again")


def open_descriptors(folder: Path) -> Descriptors:
    """Return published descriptors, memory-mapped."""
    descriptors: Descriptors = np.load(folder / ARRAY, mmap_mode="r")
    return descriptors
