"""Describe images once: the descriptors of a model and a list of images, as an artifact of their own.

What it takes hours to compute is written chunk by chunk into the run folder `<artifacts>/runs/<name>/<digest>/`, where
a killed run goes on, and published when it is whole.
"""

import logging
import shutil
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import numpy as np

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
from evaluation.descriptors.extract import CHUNK_IMAGES, Descriptors, Extraction, describe_in_chunks
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.images import ImageFiles
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.recipe import descriptors_recipe
from training.network.preprocessing import preprocessing_of

ARRAY = "descriptors.npy"
FILES = "files"
IMAGES_FOLDER = "images_folder"  # in the summary: where the images lie
logger = logging.getLogger(__name__)


def build_descriptors(
    model: TrainedModel,
    images: ImageList,
    artifacts: Path,
    how: Extraction,
    *,
    resized_to: int | None = None,
    on_percentage: Callable[[int], None] | None = None,
    chunk_images: int = CHUNK_IMAGES,
) -> Path:
    """Describe images with a model, and return the folder of the published descriptors, [num_images, dim], float32.

    Rows are in the order of the manifest, as in the table FILES. Descriptors that are published for the same files are
    reused. An interrupted run resumes at its last chunk, unless files changed.

    Args:
        model: What describes them.
        images: A manifest, and where its images lie.
        artifacts: Where artifacts are published.
        how: Batches, device and precision.
        resized_to: Pixels that the shorter side is resized to; None keeps each image's own size.
        on_percentage: Told of the progress.
        chunk_images: Images in a chunk, about.

    Raises:
        UserError: The weights or an image cannot be read, an image changed while it was being embedded, the disk is
            full, or another process is at the same work.
    """
    images, name = images.with_files(), read_recipe(images.manifest_folder)["name"]
    recipe = descriptors_recipe(name, model.facts, images.digests(), resized_to, how.precision)
    summary = {IMAGES_FOLDER: str(images.images_folder.resolve())}
    if published := find_published(artifacts, recipe, adopt=summary):
        return published
    run = artifacts / RUNS / recipe.name / recipe.digest
    with writing_in(artifacts), only_writer(run):
        if published := find_published(artifacts, recipe):  # by another process, until just now
            return published
        write_run_file(run, recipe)
        states = images.read_states()
        files = images.images(images.read(), resized_to, preprocessing_of(model.network).mode)
        array = ChunkedArray(run / ARRAY, len(files))
        with closing(_describe_rest(model, files, array, how, on_percentage, chunk_images)) as chunks:
            for chunk in chunks:
                changed = changed_images(states[array.done : array.done + len(chunk)], images.images_folder)
                if len(changed):
                    shutil.rmtree(run, ignore_errors=True)  # the same files will not come back
                    file = images.images_folder / changed["path"][0]
                    raise UserError(f"{file}: changed while it was being embedded. Run the same command again")
                array.append(chunk)
        summary["made"] = f"{len(files):,} images described in {model.fc_output_dim} numbers each"
        with publishing(artifacts, recipe, summary) as staging:
            link_or_copy(run / ARRAY, staging / ARRAY)
            write_table(states, staging / FILES / f"{FILES}.parquet", schemas.FILES)
        shutil.rmtree(run, ignore_errors=True)
    return recipe.folder(artifacts)


def _describe_rest(
    model: TrainedModel,
    files: ImageFiles,
    array: ChunkedArray,
    how: Extraction,
    on_percentage: Callable[[int], None] | None,
    chunk_images: int,
) -> Generator[Descriptors, None, None]:
    """Yield the chunks that are not in the array yet."""
    if array.done:
        logger.info("%s: %s of %s images were described already", array.path, f"{array.done:,}", f"{array.total:,}")
    if array.done == array.total:
        return
    with (
        Progress("extracting descriptors", array.total, "images", on_percentage, array.done) as progress,
        closing(describe_in_chunks(model.network, files, how, progress, array.done, chunk_images)) as chunks,
    ):
        yield from chunks


def open_descriptors(folder: Path) -> Descriptors:
    """Return the descriptors of a published artifact, mapped into memory: what is not looked at is not read."""
    descriptors: Descriptors = np.load(folder / ARRAY, mmap_mode="r")
    return descriptors
