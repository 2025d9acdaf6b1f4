"""Extract the descriptors of a list of images as an artifact.

Chunks are written to the run folder `<artifacts>/runs/<name>/<digest>/`, where an interrupted run resumes.
"""

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from data_manifest import schemas
from data_manifest.errors import UserError, writing_in
from data_manifest.progress import Progress
from data_manifest.store.files import link_or_copy
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import read_recipe
from data_manifest.store.references import RUNS
from data_manifest.store.run_folders import only_writer, write_run_file
from data_manifest.tables import write_table
from evaluation.descriptors.chunks.chunked_array import ChunkedArray
from evaluation.descriptors.chunks.embed_job import EmbedJob
from evaluation.descriptors.chunks.run_jobs import Processes, run_here, run_on
from evaluation.descriptors.extract import CHUNK_IMAGES, Descriptors
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.recipe import descriptors_recipe
from evaluation.settings import Extraction

ARRAY = "descriptors.npy"
FILES = "files"
STATES = f"{FILES}.parquet"
CHUNKS = "chunks.npy"  # of a run
OF_OLD_RUNS = (ARRAY, "descriptors.rows")  # how many rows of the array are complete; such a run starts over
IMAGES_FOLDER = "images_folder"  # key of the summary
logger = logging.getLogger(__name__)


def build_descriptors(
    model: TrainedModel,
    images: ImageList,
    artifacts: Path,
    extraction: Extraction,
    *,
    on_percentage: Callable[[int], None] | None = None,
    executor: Processes | None = None,
    chunk_images: int = CHUNK_IMAGES,
) -> Path:
    """Extract the descriptors [num_images, dim], float32, of a list of images, and return the published folder.

    Rows are in the order of the manifest and of the table FILES. Published descriptors of the same files are reused. An
    interrupted run resumes with the missing chunks, unless files changed.

    Args:
        model: The model.
        images: The images.
        artifacts: Folder of all artifacts.
        extraction: How descriptors are extracted.
        on_percentage: Called with the percentage done.
        executor: Processes that embed the chunks; by default this one does.
        chunk_images: Images per chunk, rounded down to whole batches.

    Raises:
        UserError: The weights or an image cannot be read, an image changed while it was being embedded, the disk is
            full, processes died, or another command extracts the same descriptors.
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
        states, run = images.read_states(), run.absolute()
        for old in OF_OLD_RUNS:
            (run / old).unlink(missing_ok=True)
        write_table(states, run / STATES, schemas.FILES)
        array = ChunkedArray(run / CHUNKS, (len(states), model.fc_output_dim))
        array.create_or_resume()
        job = EmbedJob(
            *(
                model.without_network(),
                model.digests,
                images.images_folder.absolute(),
                run / STATES,
                array,
                extraction,
                chunk_images,
            ),
        )
        if done := array.done:
            logger.info("%s: resuming, %s of %s images are done", array.path, f"{done:,}", f"{len(states):,}")
        with Progress("extracting descriptors", len(states), "images", on_percentage, done) as progress:
            changed = run_on(executor, job, progress) if executor else run_here(job, model.network, progress)
        if changed:
            shutil.rmtree(run, ignore_errors=True)  # the same files will not come back
            raise UserError(
                f"{images.images_folder / changed}: changed while it was being embedded. Run the same command again"
            )
        summary["made"] = _describe(len(states), model.fc_output_dim, images.count_rejects())
        with publishing(artifacts, recipe, summary) as staging:
            link_or_copy(array.path, staging / ARRAY)
            write_table(states, staging / FILES / STATES, schemas.FILES)
        shutil.rmtree(run, ignore_errors=True)
    return recipe.folder(artifacts)


def _describe(num_images: int, dimensions: int, rejects: Mapping[str, int]) -> str:
    """Return how many images were embedded, and how many rejected and why."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in rejects.items())
    rejected = f"; {sum(rejects.values()):,} rejected: {reasons}" if rejects else ""
    return f"{num_images:,} images embedded in {dimensions} dimensions{rejected}"


def open_descriptors(folder: Path) -> Descriptors:
    """Return published descriptors, memory-mapped."""
    descriptors: Descriptors = np.load(folder / ARRAY, mmap_mode="r")
    return descriptors
