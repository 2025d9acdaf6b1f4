"""Read images from their store into the cache, many at a time."""

import errno
import multiprocessing
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.pool import ThreadPool
from types import TracebackType
from typing import Self

from data_manifest.images.image_store import ImageReader
from training.data.reads.lookahead.cache_folder import space_of
from training.data.reads.lookahead.cached_store import ImageCache
from training.data.reads.lookahead.machine_reads import EpochFiles
from training.data.sampling import Numbers

THREADS = 32  # each holds one image
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
POLL_S = 0.2


@dataclass
class Fetched:
    """The result of fetching images: row, name and bytes on the disk of those that are in the cache now."""

    stored: list[tuple[int, int, int]] = field(default_factory=list)
    images: int = 0
    bytes: int = 0  # read from the store
    seconds: float = 0.0
    is_disk_full: bool = False


class Fetcher:
    """Threads that read images of a store into a cache, until `stopping` is set; a context manager."""

    def __init__(self, cache: ImageCache, store: ImageReader, stopping: threading.Event) -> None:
        self._cache, self._store, self._stopping = cache, store, stopping
        self._threads = ThreadPool(THREADS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.terminate()

    def fetch(self, files: EpochFiles, rows: Numbers) -> Fetched:
        """Read images into the cache; those that are missing, or have another size than recorded, are left out.

        Raises:
            StoreError: The store cannot be read now.
            OSError: The cache cannot be written, and its disk is not full.
        """
        began, result = time.perf_counter(), Fetched()
        numbers = rows - files.offset
        paths = files.paths.gather(numbers).to_list()
        columns = (rows, files.image_bytes[numbers], files.modified_ns[numbers])
        images = list(zip(paths, *(column.tolist() for column in columns), strict=True))
        wanted = [images[number] for number in self._store.sorted_by_place(paths)]
        answers = self._threads.imap_unordered(self._fetch_one, wanted)
        while len(result.stored) < len(wanted) and not self._stopping.is_set():
            try:
                path, row, size, is_stored = answers.next(POLL_S)
            except multiprocessing.TimeoutError:
                continue
            except StopIteration:
                break
            result.images, result.bytes = result.images + 1, result.bytes + size
            if is_stored is None:
                result.is_disk_full = True
            elif is_stored:
                result.stored.append((row, self._cache.name(path), space_of(size)))
        result.seconds = time.perf_counter() - began
        return result

    def _fetch_one(self, image: tuple[str, int, int, int]) -> tuple[str, int, int, bool | None]:
        """Return an image's path, row, the bytes read, and whether it is in the cache; None if its disk is full."""
        path, row, size, modified_ns = image
        if self._stopping.is_set():
            return path, row, 0, False
        content = next(self._store.read([path]))
        if isinstance(content, OSError):
            return path, row, 0, False
        if len(content) != size:
            return path, row, len(content), False
        try:
            self._cache.write(path, content, modified_ns)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            return path, row, size, None
        return path, row, size, True
