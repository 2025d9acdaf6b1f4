"""Start and stop the look-ahead of a training."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_manifest.errors import writing_in
from data_manifest.images.image_store import ImageReader
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.images.loader_workers import PREFETCHED
from data_manifest.images.packs.open_packs import find_packs
from data_manifest.progress import working
from training.data.reads.lookahead.cache_folder import OPTION, CacheFiles, check_space, opened_cache
from training.data.reads.lookahead.cached_store import ImageCache
from training.data.reads.lookahead.contents import CacheContents
from training.data.reads.lookahead.forecast import Forecast
from training.data.reads.lookahead.gate import Gate
from training.data.reads.lookahead.lookahead import LookAhead
from training.data.reads.lookahead.machine_reads import MachineReads
from training.data.reads.read_order import ReadOrder
from training.distributed.processes import on_rank0, raising_on_all, rank, world_size
from training.settings import RuntimeSettings

GATE_SUFFIX = ".gate"


@dataclass
class ReadingAhead:
    """The cache that the workers use, and the gate before it; None without a cache folder."""

    cache: ImageCache | None = None
    gate: Gate | None = None
    lookahead: LookAhead | None = None  # in one process of each machine
    forecast: Forecast | None = None

    def advance(self, epoch: int, batches: int, busy_s: float) -> None:
        """Count a batch as taken.

        Args:
            epoch: The epoch of the batch.
            batches: Batches that the training has taken so far, in all epochs.
            busy_s: Seconds of the epoch that were not spent waiting for images.
        """
        if self.lookahead is not None and self.forecast is not None:
            self.lookahead.advance(batches)
            self.forecast.observe(epoch, busy_s)

    def metrics(self, epoch: int) -> dict[str, float | None]:
        """Return the columns of METRICS on an epoch."""
        lookahead = self.lookahead
        if lookahead is None or not lookahead.reads[epoch]:
            return {"cache_hit_share": None, "gb_read": None}
        return {
            "cache_hit_share": lookahead.hits[epoch] / lookahead.reads[epoch],
            "gb_read": lookahead.bytes[epoch] / 1e9,
        }


@contextlib.contextmanager
def reading_ahead(
    states: Path,
    store: ImageReader,
    images_folder: ImagesFolder,
    make_order: Callable[[], ReadOrder],
    changed: pl.DataFrame,
    batches: int,
    runtime: RuntimeSettings,
    is_stopping: Callable[[], bool],
) -> Iterator[ReadingAhead]:
    """Read ahead into the cache folder, if there is one, within this context. All ranks must call this.

    Args:
        states: Folder of the run with the recorded states of the images, one file per group.
        store: The store of the images.
        images_folder: The folder of the images, which may be missing if they are in packs.
        make_order: Returns the order of the training's reads.
        changed: Today's states of the images that changed since they were recorded.
        batches: Batches that the training has taken before.
        runtime: The cache folder, its size, the packs, and the number of workers.
        is_stopping: True if the run was asked to stop.

    Raises:
        UserError: The cache folder cannot be used.
    """
    if runtime.cache_folder is None:
        yield ReadingAhead()
        return
    source = on_rank0(lambda: _source(images_folder, runtime.packs))
    cache = ImageCache(runtime.cache_folder.absolute(), source)
    run, machine = cache.name(str(states.absolute())), os.environ.get("GROUP_RANK", "0")  # set by torchrun
    gate_file = cache.folder / f"{run:016x}-{machine}{GATE_SUFFIX}"
    limit = int(runtime.cache_gb * 1e9)
    with contextlib.ExitStack() as ended:
        is_writer = False
        with raising_on_all():
            if _local_rank() == 0:
                is_writer = ended.enter_context(opened_cache(cache.folder))
                ended.callback(gate_file.unlink, missing_ok=True)
                with writing_in(cache.folder, OPTION):
                    Gate.make(gate_file)
                order = make_order()
                reads = MachineReads(order, states, changed, _share_of_batch(order.training.batch_size))
                contents = CacheContents(reads.num_images, limit)
                with working("finding the images in the cache"):
                    contents.adopt(CacheFiles.scan(cache.folder, clean=is_writer), cache, reads)
                if is_writer:
                    check_space(cache.folder, limit, contents.used)
        gate = Gate(gate_file, is_stopping)
        ahead = ReadingAhead(cache, gate)
        if is_writer:
            prefetched = PREFETCHED * runtime.num_workers + 1
            ahead.lookahead = LookAhead(reads, contents, cache, store, gate, prefetched, batches)
            ahead.forecast = Forecast(ahead.lookahead, reads, contents.space > 0, limit)
            ended.enter_context(ahead.lookahead.running())
        elif _local_rank() == 0:
            gate.open()
        yield ahead


def _source(images_folder: ImagesFolder, packs: ImagesFolder | None) -> str:
    """Return a text that identifies the images; those in packs may differ from the files of today."""
    return str(images_folder.resolve()) if packs is None else f"packs {find_packs(packs).recipe['digest']}"


def _local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", "0"))


def _share_of_batch(batch_size: int) -> range:
    """Return the part of each batch that the ranks of this machine read."""
    size = batch_size // world_size()
    first = rank() - _local_rank()
    return range(first * size, (first + int(os.environ.get("LOCAL_WORLD_SIZE", "1"))) * size)
