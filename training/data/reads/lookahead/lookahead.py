"""The thread that reads images into the cache before the loader workers need them."""

import contextlib
import errno
import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Iterator

import numpy as np

from data_manifest.errors import UserError
from data_manifest.images.image_store import ImageReader
from data_manifest.store.files import format_bytes
from training.data.reads.lookahead.cache_folder import space_of
from training.data.reads.lookahead.cached_store import ImageCache
from training.data.reads.lookahead.contents import MAX_SPACE, CacheContents
from training.data.reads.lookahead.fetcher import Fetched, Fetcher
from training.data.reads.lookahead.gate import Gate
from training.data.reads.lookahead.machine_reads import UNKNOWN, EpochFiles, MachineReads
from training.data.sampling import Numbers

FIRST_CHUNK, MAX_CHUNK = 256, 2048  # reads that are sorted by place; each chunk has twice as many as the one before
AHEAD_SHARE = 0.25  # of the cache, for the two chunks that are read ahead; the rest keeps images for later reads
FULL_SHARE = 0.9  # of what fitted when the disk was full
STOP_S = 5.0  # until a read that hangs is left alone
logger = logging.getLogger(__name__)


class LookAhead:
    """Reads ahead of a training, in another thread.

    Positions are numbers of reads of this machine, counted over all epochs. The training has taken the reads before
    `done`; the reads before the frontier are in the cache, or left to the workers.

    Args:
        reads: The reads of this machine.
        contents: What the cache holds.
        cache: The cache's files.
        store: The store of the images.
        gate: Holds the workers back until their batch is read ahead.
        prefetched: Batches that must be let through for the training to get the next one.
        batches: Batches that the training has done before.
    """

    def __init__(
        self,
        reads: MachineReads,
        contents: CacheContents,
        cache: ImageCache,
        store: ImageReader,
        gate: Gate,
        prefetched: int,
        batches: int,
    ) -> None:
        self._reads, self._contents, self._cache, self._store, self._gate = reads, contents, cache, store, gate
        self._prefetched = prefetched * reads.reads_per_batch
        self._done = self._frontier = batches * reads.reads_per_batch
        self._caught_up = self._done // reads.reads_per_epoch * reads.reads_per_epoch
        self._loaded: dict[int, EpochFiles] = {}
        self._ahead = deque[tuple[int, int]]()  # the end of each chunk, and the bytes fetched for it
        self._chunk, self._is_disk_full = FIRST_CHUNK, False
        self.reads, self.hits, self.bytes = (Counter[int]() for _ in range(3))  # by epoch
        self._moved, self._stopping = threading.Condition(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.fetched, self.fetch_s = 0, 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Read ahead within this context."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self.advance(0)
            self._thread.join(STOP_S)

    def advance(self, batches: int) -> None:
        """Set how many batches the training has taken so far."""
        with self._moved:
            self._done = max(self._done, batches * self._reads.reads_per_batch)
            self._moved.notify()

    def _run(self) -> None:
        try:
            self._find_next_uses()
            self._warn_if_small()
            with Fetcher(self._cache, self._store, self._stopping) as fetcher:
                while not self._stopping.is_set():
                    done = self._done
                    if not self._fetch_next(fetcher, done):
                        self._wait(done)
        except UserError as error:  # the workers meet it too, and end the training if it lasts
            logger.warning("reading ahead has stopped: %s", error)
        except OSError as error:
            text = "reading ahead has stopped: %s: %s. Images are read without the cache from now on"
            logger.warning(text, error.filename or self._cache.folder, error.strerror)
        except Exception:  # a fault of this code must not end a training
            logger.exception("reading ahead has stopped")
        finally:
            self._gate.open()

    def _find_next_uses(self) -> None:
        """Set the next uses of the images of the groups that come after the current one."""
        current = self._done // self._reads.reads_per_epoch
        for epoch in range(current + 1, min(current + self._reads.num_groups, self._reads.epochs.stop)):
            self._contents.next_uses[self._reads.group_rows(epoch)] = self._reads.first_uses(epoch)

    def _warn_if_small(self) -> None:
        files = self._load(self._done // self._reads.reads_per_epoch)
        prefetched = self._prefetched * space_of(np.maximum(files.sizes(files.rows), 0)).mean()
        if prefetched + 2 * self._max_chunk_bytes > self._contents.limit:
            logger.warning(
                "--cache-gb %g: too small to read ahead, because the workers prefetch %s. Give %.2g or more",
                *(self._contents.limit / 1e9, format_bytes(prefetched), 2 * prefetched / 1e9),
            )

    def _fetch_next(self, fetcher: Fetcher, done: int) -> bool:
        """Fetch the next chunk; return False if there is no room for it now, or nothing to read."""
        self._catch_up(done)
        self._frontier = max(self._frontier, done)
        files = self._files_at(self._frontier, done)
        if files is None or self._bytes_ahead(done) > self._max_chunk_bytes:
            return False
        end, rows = self._choose(files)
        if end == self._frontier:
            return False
        self._remove(self._contents.evict(int(space_of(files.sizes(rows)).sum()), end))
        fetched = fetcher.fetch(files, rows)
        for row, name, space in fetched.stored:
            self._contents.add(row, name, space)
        self._ahead.append((end, sum(space for *_, space in fetched.stored)))
        self._count(files, end, fetched)
        if fetched.is_disk_full:
            self._shrink(end)
        self._chunk = min(2 * self._chunk, MAX_CHUNK)
        self._pass_to(end)
        return True

    @property
    def _max_chunk_bytes(self) -> int:
        return int(AHEAD_SHARE / 2 * self._contents.limit)

    def _catch_up(self, done: int) -> None:
        """Set the next uses of the images that the training has read since."""
        while self._caught_up < done:
            files = self._load(self._caught_up // self._reads.reads_per_epoch)
            end = min(done, files.end)
            new = slice(self._caught_up - files.first, end - files.first)
            self._contents.next_uses[files.rows[new]] = files.next_uses[new]  # of equal rows, the last is assigned
            self._caught_up = end
        for epoch in [epoch for epoch, files in self._loaded.items() if files.end <= done]:
            del self._loaded[epoch]

    def _files_at(self, position: int, done: int) -> EpochFiles | None:
        """Return the epoch of a position; None after the training, or more than one epoch ahead."""
        epoch = position // self._reads.reads_per_epoch
        is_near = epoch <= done // self._reads.reads_per_epoch + 1
        return self._load(epoch) if is_near and epoch < self._reads.epochs.stop else None

    def _load(self, epoch: int) -> EpochFiles:
        if epoch not in self._loaded:
            self._loaded[epoch], first_uses = self._reads.load(epoch)
            known = self._contents.next_uses[self._reads.group_rows(epoch)]
            is_later = known >= self._loaded[epoch].first
            known[is_later] = first_uses[is_later]  # the horizon has moved
        return self._loaded[epoch]

    def _bytes_ahead(self, done: int) -> int:
        """Return the bytes that were fetched in chunks with reads that the workers do not have yet."""
        while self._ahead and self._ahead[0][0] <= self._end_of_prefetched(done):
            self._ahead.popleft()
        return sum(fetched for _, fetched in self._ahead)

    def _end_of_prefetched(self, done: int) -> int:
        """Return the position after the batches that the workers have, which are of one epoch."""
        epoch = done // self._reads.reads_per_epoch
        return min(done + self._prefetched, (epoch + 1) * self._reads.reads_per_epoch)

    def _choose(self, files: EpochFiles) -> tuple[int, Numbers]:
        """Return the end of the next chunk, and the images to fetch for it, in the order of their reads."""
        begin = self._frontier - files.first
        rows = files.rows[begin : begin + self._chunk]
        end = self._frontier + len(rows)
        first = np.sort(np.unique(rows, return_index=True)[1])
        sizes = files.sizes(rows[first])
        new = first[~self._contents.is_cached(rows[first]) & (sizes != UNKNOWN) & (sizes < MAX_SPACE)]
        spaces = np.cumsum(space_of(files.sizes(rows[new])))
        fitting = int(np.searchsorted(spaces, min(self._max_chunk_bytes, self._contents.room(end)), side="right"))
        if fitting < len(new):
            end = self._frontier + int(new[fitting])
        return end, rows[new[:fitting]]

    def _remove(self, names: list[int]) -> None:
        for name in names:
            self._cache.remove(name)

    def _count(self, files: EpochFiles, end: int, fetched: Fetched) -> None:
        """Count the reads up to `end`, for which images were fetched."""
        epoch = self._frontier // self._reads.reads_per_epoch
        rows = files.rows[self._frontier - files.first : end - files.first]
        self.reads[epoch] += len(rows)
        self.hits[epoch] += int(self._contents.is_cached(rows).sum()) - len(fetched.stored)
        self.bytes[epoch] += fetched.bytes
        self.fetched, self.fetch_s = self.fetched + fetched.images, self.fetch_s + fetched.seconds

    def _shrink(self, before: int) -> None:
        """Lower the limit to what fits on the full disk; keep images that are used before the read `before`.

        Raises:
            OSError: Nothing fits.
        """
        contents, folder = self._contents, self._cache.folder
        if not contents.used:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        contents.limit = int(FULL_SHARE * min(contents.used, contents.limit))
        if not self._is_disk_full:
            logger.warning("%s: the disk is full. The cache is limited to %s", folder, format_bytes(contents.limit))
        self._is_disk_full = True
        self._remove(contents.evict(0, before))

    def _pass_to(self, position: int) -> None:
        self._frontier = position
        self._gate.let_through(position // self._reads.reads_per_batch)

    def _wait(self, done: int) -> None:
        """Wait until the training has taken more batches, and leave those that it needs for that to the workers."""
        needed = self._end_of_prefetched(done)
        if needed > self._frontier and done // self._reads.reads_per_epoch < self._reads.epochs.stop:
            files = self._load(self._frontier // self._reads.reads_per_epoch)
            rows = files.rows[self._frontier - files.first : needed - files.first]
            sizes = files.sizes(rows[~self._contents.is_cached(rows)])
            self._count(files, needed, Fetched(bytes=int(sizes[sizes != UNKNOWN].sum())))
            self._pass_to(needed)
        with self._moved:
            self._moved.wait_for(lambda: self._done != done or self._stopping.is_set(), timeout=1)
