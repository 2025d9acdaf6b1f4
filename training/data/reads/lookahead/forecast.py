"""Forecast how long a training will wait for images, from measured speeds and the exact order of its reads."""

import heapq
import logging
import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from training.data.reads.lookahead.cache_folder import space_of
from training.data.reads.lookahead.lookahead import LookAhead
from training.data.reads.lookahead.machine_reads import UNKNOWN, MachineReads
from training.data.reads.read_order import NEVER, find_next_uses
from training.data.sampling import Numbers

WARM_UP, MIN_BATCHES, MIN_SECONDS = 10, 100, 10.0  # batches before the measurement; its length, whichever ends first
MIN_FETCHED = 100  # images
MAX_SIMULATED, MAX_EPOCHS = 200_000, 128  # reads and epochs of the simulation
TOLERANCE = 0.03  # between the waiting share of some epochs and that of the last
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # of Knuth's multiplicative hashing
logger = logging.getLogger(__name__)


class Forecast:
    """Measures the first batches of a process, and logs once what to expect."""

    def __init__(self, lookahead: LookAhead, reads: MachineReads, is_cached: npt.NDArray[np.bool_], limit: int) -> None:
        self._lookahead, self._reads, self._is_cached, self._limit = lookahead, reads, is_cached, limit
        self._batches, self._measured_s, self._busy_s = 0, 0.0, 0.0
        self._is_measuring = True
        self._thread: threading.Thread | None = None

    def observe(self, epoch: int, busy_s: float) -> None:
        """Count a batch; `busy_s` are the seconds of the epoch that were not spent waiting for images."""
        if not self._is_measuring:
            return
        if torch.cuda.is_available():  # otherwise the GPU would go on with its work during the wait for the next batch
            torch.cuda.synchronize()
        new_s = busy_s - self._busy_s if busy_s >= self._busy_s else busy_s  # or a new epoch has begun
        self._busy_s, self._batches = busy_s, self._batches + 1
        self._measured_s += new_s if self._batches > WARM_UP else 0.0
        measured, seconds = self._batches - WARM_UP, self._measured_s
        if measured <= 0 or (measured < MIN_BATCHES and seconds < MIN_SECONDS):
            return
        self._is_measuring = False
        fetched, fetch_s = self._lookahead.fetched, self._lookahead.fetch_s
        if fetched < MIN_FETCHED:  # the cache has nearly all images so far
            return
        speeds = fetched / fetch_s, measured * self._reads.reads_per_batch / max(seconds, 1e-9)
        self._thread = threading.Thread(target=self._log, args=(epoch, *speeds), daemon=True)
        self._thread.start()

    def _log(self, epoch: int, store: float, network: float) -> None:
        hits = forecast_hits(self._reads, epoch, self._is_cached, self._limit)
        logger.info("%s", describe(store, network, hits, epoch, self._reads.num_groups, self._limit))


def describe(store: float, network: float, hits: Sequence[float], first_epoch: int, num_groups: int, limit: int) -> str:
    """Return the forecast as text.

    Args:
        store: Images per second that the store gives.
        network: Images per second that the network takes if it never waits.
        hits: Expected share of reads from the cache, by epoch, from 0 to 1.
        first_epoch: The epoch of the first of them, from 0.
        num_groups: Groups that take turns.
        limit: Bytes of the cache.
    """
    waits = [wait_share(store, network, each) for each in hits]
    rounds = [slice(begin, begin + num_groups) for begin in range(max(1, len(hits) - num_groups + 1))]
    last_hits, last = (float(np.mean(values[rounds[-1]])) for values in (hits, waits))
    begin = next(each.start for each in rounds if np.mean(waits[each]) <= last + TOLERANCE) + first_epoch + 1
    now, later, cached = (f"{100 * share:.0f} %" for share in (wait_share(store, network, 0.0), last, last_hits))
    return (
        f"store {store:,.0f} images/s, network {network:,.0f}: {now} waiting without a cache; with --cache-gb "
        f"{limit / 1e9:g}, about {later} from epoch {begin}, when {cached} of the images read are in it"
    )


def wait_share(store: float, network: float, hits: float) -> float:
    """Return the share of the time spent waiting, from 0 to 1, if a share of the reads does not need the store."""
    needed = network * (1 - hits)  # images per second of the store, for the network not to wait
    return max(0.0, 1 - store / needed) if needed > 0 else 0.0


def forecast_hits(reads: MachineReads, first_epoch: int, is_cached: npt.NDArray[np.bool_], limit: int) -> list[float]:
    """Return the expected share of reads from the cache, by epoch from `first_epoch` on.

    Some of the images, and a cache that is smaller in proportion, stand for all. Source: Waldspurger et al., "Cache
    modeling and optimization using miniature simulations", USENIX ATC 2017.
    """
    epochs = reads.epochs[first_epoch : first_epoch + MAX_EPOCHS]
    every = -(-len(epochs) * reads.reads_per_epoch // MAX_SIMULATED)
    sampled = [_sample(reads.rows(epoch), every) for epoch in epochs]
    images, order = np.unique(np.concatenate(sampled), return_inverse=True)
    next_uses = find_next_uses(order, 0, np.full(len(images), NEVER))
    spaces = space_of(np.maximum(_sizes(reads)[images], 0))
    hits = simulate_belady(order, next_uses, spaces, limit // every, np.flatnonzero(is_cached[images]))
    ends = np.cumsum([len(each) for each in sampled])[:-1]
    return [float(each.mean()) if len(each) else 0.0 for each in np.split(hits, ends)]


def _sample(rows: Numbers, every: int) -> Numbers:
    """Return the rows of one of `every` images, always the same."""
    sampled: Numbers = rows[(rows.astype(np.uint64) * GOLDEN >> np.uint64(40)) % np.uint64(every) == 0]
    return sampled


def _sizes(reads: MachineReads) -> Numbers:
    sizes = np.full(reads.num_images, UNKNOWN)
    for epoch in range(reads.num_groups):
        sizes[reads.group_rows(epoch)] = reads.files(epoch)["bytes"].to_numpy()
    return sizes


def simulate_belady(
    order: Numbers, next_uses: Numbers, spaces: Numbers, limit: int, cached: Numbers
) -> npt.NDArray[np.bool_]:
    """Return which reads find their image in a cache that evicts the image with the furthest next use.

    Args:
        order: The image of each read: [num_reads].
        next_uses: The next read of the same image, NEVER if there is none: [num_reads].
        spaces: Bytes of each image: [num_images].
        limit: Bytes of the cache.
        cached: Images that are in it at the beginning.
    """
    first_uses = np.full(len(spaces), NEVER)
    first_uses[order[::-1]] = np.arange(len(order) - 1, -1, -1)
    uses = {int(image): int(first_uses[image]) for image in cached}  # next use of each image in the cache
    furthest = [(-use, image) for image, use in uses.items()]
    heapq.heapify(furthest)
    used, space_by_image = int(spaces[cached].sum()), spaces.tolist()
    hits = np.zeros(len(order), bool)
    for number, (image, use) in enumerate(zip(order.tolist(), next_uses.tolist(), strict=True)):
        hits[number] = image in uses
        if not hits[number]:
            used += space_by_image[image]
        uses[image] = use
        heapq.heappush(furthest, (-use, image))
        while used > limit:
            negative, candidate = heapq.heappop(furthest)
            if uses.get(candidate) == -negative:
                del uses[candidate]
                used -= space_by_image[candidate]
    return hits
