"""A job: embed a range of images, and write their descriptors into the shared array. Runs in any process."""

import dataclasses
import multiprocessing
import threading
from contextlib import closing
from pathlib import Path

import polars as pl
from torch import nn

from data_manifest.errors import UserError
from data_manifest.images.file_states import changed_images
from data_manifest.images.images_folder import ImagesFolder
from evaluation.descriptors.chunks.chunked_array import ChunkedArray
from evaluation.descriptors.chunks.running_jobs import CountFile
from evaluation.descriptors.extract import Counter, chunks_of, extract_chunks
from evaluation.descriptors.image_dataset import ImageDataset
from evaluation.descriptors.open_image import size_rule_of
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.recipe import ModelDigests
from evaluation.settings import Extraction
from training.network.preprocessing import preprocessing_of

_one_at_a_time = threading.Lock()  # a Dask worker may have several threads, but the device is one
_kept: list[tuple[ModelDigests, nn.Module]] = []  # the last network


@dataclasses.dataclass(frozen=True)
class EmbedJob:
    """The inputs of a process that embeds images. All paths are absolute, and the same on all machines."""

    model: TrainedModel
    digests: ModelDigests
    images_folder: ImagesFolder
    states: Path  # table FILES of all images, in the order of the rows
    array: ChunkedArray
    extraction: Extraction
    chunk_images: int

    def chunks(self, rows: range) -> list[range]:
        """Return the chunks of a range of rows that are not done."""
        missing = self.array.missing(rows)
        return [each for gap in missing for each in chunks_of(gap, self.chunk_images, self.extraction.batch_size)]

    def run(self, network: nn.Module, rows: range, progress: Counter) -> str | None:
        """Write the descriptors of the missing chunks of a range of rows, each as soon as it is complete.

        Returns:
            The path of an image that changed while it was being embedded, which ends the job; None if none did.

        Raises:
            UserError: As for `extract_chunks`.
            OSError: The disk is full.
        """
        if not (chunks := self.chunks(rows)):
            return None
        first, end = chunks[0].start, chunks[-1].stop
        states = pl.scan_parquet(self.states).slice(first, end - first).collect()
        preprocessing = preprocessing_of(network)
        opened = self.extraction.resized_to, preprocessing.mode, preprocessing.interpolation, size_rule_of(network)
        images = ImageDataset(self.images_folder, states["path"].to_arrow(), *opened)
        own_rows = [range(chunk.start - first, chunk.stop - first) for chunk in chunks]
        with closing(extract_chunks(network, images, self.extraction, progress, own_rows)) as extracted:
            for own, descriptors in zip(own_rows, extracted, strict=True):
                changed = changed_images(states[own.start : own.stop], self.images_folder)
                if len(changed):
                    return str(changed["path"][0])
                self.array.write(first + own.start, descriptors)
        return None


def run_job(job: EmbedJob, counts: Path, rows: range) -> str | None:
    """Run a job in a process that others started, with a network that the process keeps for the next job.

    Raises:
        UserError: As for `EmbedJob.run`; or this process may not start loader workers.
        FileNotFoundError: The command that started the job has ended.
    """
    if job.extraction.num_workers and multiprocessing.current_process().daemon:
        raise UserError(
            f"num_workers = {job.extraction.num_workers}: this Dask worker cannot start processes that load images. "
            "Start it with `dask worker --no-nanny`, or give --num-workers 0"
        )
    with _one_at_a_time:
        return job.run(_network_of(job), rows, CountFile(counts / str(rows.start)))


def _network_of(job: EmbedJob) -> nn.Module:
    """Return the network of a job's model, loaded unless the job before had the same."""
    if _kept and _kept[0][0] == job.digests:
        return _kept[0][1]
    _kept.clear()  # before another one takes memory
    if job.model.digests != job.digests:
        raise UserError(f"{job.model.path}: changed after this command started. Run it again")
    _kept.append((job.digests, job.model.network))
    return _kept[0][1]
