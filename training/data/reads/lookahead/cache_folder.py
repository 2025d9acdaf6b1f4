"""The cache folder: its lock, and the files of earlier runs."""

import contextlib
import logging
import os
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from data_manifest.errors import UserError, writing_in
from data_manifest.store.files import disk_usage, format_bytes
from data_manifest.store.locks import fcntl
from training.data.reads.lookahead.cached_store import CHECKSUM_BYTES, UNFINISHED

LOCK_FILE = "cosplace-cache.lock"  # also marks the folder as a cache
SUBFOLDERS = [f"{number:02x}" for number in range(256)]
BLOCK = 4096  # bytes: file systems allocate space in blocks
TIME_UNITS_NS = (1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)  # the last is that of FAT
PROBE_NS = 1_234_567_891_987_654_321  # a multiple of none of them but the first
OPTION = "--cache-folder"
Sizes = npt.NDArray[np.int64]
SizeOrSizes = TypeVar("SizeOrSizes", int, Sizes)
logger = logging.getLogger(__name__)


def space_of(image_bytes: SizeOrSizes) -> SizeOrSizes:
    """Return the bytes that a cached image of `image_bytes` bytes takes on the disk."""
    return -(-(image_bytes + CHECKSUM_BYTES) // BLOCK) * BLOCK


def make_cache_folder(folder: Path) -> None:
    """Make a cache folder if needed.

    Raises:
        UserError: It has other files in it, or cannot be written.
    """
    with writing_in(folder, OPTION):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{OPTION} {folder}: not a folder")
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / LOCK_FILE).exists():  # listed first: another process may make it
            raise UserError(f"{OPTION} {folder}: has other files in it. Give an empty folder, or an earlier cache.")
        (folder / LOCK_FILE).touch()


@contextlib.contextmanager
def opened_cache(folder: Path) -> Iterator[bool]:
    """Make a cache folder if needed, and yield whether this process may write to it.

    Raises:
        UserError: As for `make_cache_folder`.
    """
    make_cache_folder(folder)
    with writing_in(folder, OPTION):
        lock = (folder / LOCK_FILE).open("a+")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.warning("%s is in use by another training: this one reads from it, and adds nothing", folder)
            yield False
            return
        except OSError as error:  # NFS without a lock service, some FUSE
            text = "%s: files cannot be locked there (%s). Make sure that only one training at a time uses this cache"
            logger.warning(text, folder, error.strerror)
        with writing_in(folder, OPTION):
            for name in SUBFOLDERS:
                (folder / name).mkdir(exist_ok=True)
        yield True


@dataclass(frozen=True)
class CacheFiles:
    """Files of a cache folder: name, bytes of the image, and modification time, [num_files] each, sorted by name.

    Modification times are multiples of `time_unit_ns`.
    """

    names: npt.NDArray[np.uint64]
    image_bytes: Sizes
    modified_ns: Sizes
    time_unit_ns: int

    @classmethod
    def scan(cls, folder: Path, clean: bool) -> Self:
        """Return the files of a cache folder; `clean` removes those that a killed process has left unfinished."""
        names, sizes, times = array("Q"), array("q"), array("q")
        for entry in _entries(folder):
            if entry.name.endswith(UNFINISHED) and _is_name(entry.name.removesuffix(UNFINISHED)):
                if clean:
                    Path(entry.path).unlink(missing_ok=True)
            elif _is_name(entry.name):
                with contextlib.suppress(FileNotFoundError):  # another process removed it
                    state = entry.stat()
                    names.append(int(entry.name, 16))
                    sizes.append(max(0, state.st_size - CHECKSUM_BYTES))
                    times.append(state.st_mtime_ns)
        order = np.argsort(np.asarray(names, np.uint64))
        return cls(
            np.asarray(names, np.uint64)[order],
            np.asarray(sizes, np.int64)[order],
            np.asarray(times, np.int64)[order],
            _time_unit_ns(folder),
        )

    def __len__(self) -> int:
        return len(self.names)

    def find(self, names: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Return the number of the file with each name, -1 where there is none."""
        if not len(self):
            return np.full(len(names), -1)
        found = np.minimum(np.searchsorted(self.names, names), len(self) - 1)
        return np.where(self.names[found] == names, found, -1)

    def are_of(self, numbers: npt.NDArray[np.int64], image_bytes: Sizes, modified_ns: Sizes) -> npt.NDArray[np.bool_]:
        """Return whether files, given by number, have the sizes and modification times of images."""
        found_bytes, found_ns, unit = self.image_bytes[numbers], self.modified_ns[numbers], self.time_unit_ns
        are_equal = (found_bytes == image_bytes) & (found_ns // unit == modified_ns // unit)
        return np.asarray((numbers >= 0) & are_equal)


def _time_unit_ns(folder: Path) -> int:
    """Return the resolution of modification times in a cache folder, in nanoseconds."""
    with writing_in(folder, OPTION), tempfile.TemporaryFile(dir=folder) as probe:
        os.utime(probe.fileno(), ns=(PROBE_NS, PROBE_NS))
        found = os.fstat(probe.fileno()).st_mtime_ns
    return next((unit for unit in TIME_UNITS_NS if found // unit == PROBE_NS // unit), 1)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    for name in SUBFOLDERS:
        if (folder / name).is_dir():
            with os.scandir(folder / name) as entries:
                yield from (entry for entry in entries if entry.name.startswith(name))


def _is_name(text: str) -> bool:
    return len(text) == 16 and not set(text) - set("0123456789abcdef")


def check_space(folder: Path, limit: int, used: int) -> None:
    """Raise UserError if the disk of a cache folder cannot hold the cache; `used` bytes are already in it."""
    total, free = disk_usage(folder)
    if total > 0 and free + used < limit:
        raise UserError(
            f"--cache-gb {limit / 1e9:g}: the disk of {folder} has {format_bytes(free)} free, and {format_bytes(used)} "
            "are in the cache. Free some, or lower --cache-gb."
        )
