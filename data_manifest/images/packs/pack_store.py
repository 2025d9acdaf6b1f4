"""Read images from packs by their paths: a binary search in a memory-mapped table, then one read at an offset.

Loader workers import this module, so it imports no tables.
"""

import functools
import os
import tarfile
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from data_manifest.errors import StoreError
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl

MAX_OPEN_SHARDS = 64  # per process
WRONG_CHECKSUM = "checksum differs from the index"
Words = npt.NDArray[np.uint64]


class Location(NamedTuple):
    """A column of a lookup table: where an image is."""

    path_hash: int  # xxh3 of the path; the columns are sorted by it
    shard: int  # index in the list of shards
    offset: int
    size: int
    xxh3: int


class PackStore:
    """Images in the shards of packs. Each is checked against its checksum in the index.

    Args:
        folder: The folder of the shards, on this machine or at a URL.
        shards: Names of the shards.
        lookup: File of the lookup table, as NumPy stores it: [5, num_images], uint64, with the rows of `Location`.
    """

    def __init__(self, folder: ImagesFolder, shards: tuple[str, ...], lookup: Path) -> None:
        self.folder, self.shards, self.lookup = folder, shards, lookup
        self._table: Words = np.asarray(np.load(lookup, mmap_mode="r"))  # now, as another run may replace it

    def __reduce__(self) -> tuple[type["PackStore"], tuple[ImagesFolder, tuple[str, ...], Path]]:
        return PackStore, (self.folder, self.shards, self.lookup)

    def read(self, paths: Sequence[str]) -> Iterator[bytes | OSError]:
        """Yield the content of each image in order, or the reason why it cannot be read; from URLs, many at once.

        Raises:
            StoreError: A shard is missing, too short or replaced, or the store of the URL does not answer.
        """
        if isinstance(self.folder, Path) or len(paths) == 1:
            yield from map(self._read, paths)
            return
        from data_manifest.images.object_store import REQUESTS  # needs an optional package

        with ThreadPoolExecutor(max(1, min(REQUESTS, len(paths)))) as threads:
            yield from threads.map(self._read, paths)

    def sorted_by_place(self, paths: Sequence[str]) -> list[int]:
        """Return the indices of paths in the order of their places in the shards."""
        places = [self.find(path) or Location(0, 0, 0, 0, 0) for path in paths]
        return sorted(range(len(paths)), key=lambda number: (places[number].shard, places[number].offset))

    def _read(self, path: str) -> bytes | OSError:
        location = self.find(path)
        if location is None:
            return FileNotFoundError("not in the packs")
        shard = self.folder / self.shards[location.shard]
        try:
            content = read_range(shard, location.offset, location.size)
            if xxh3_64_intdigest(content) == location.xxh3:
                return content
            if not _has_header(shard, location):
                raise StoreError(
                    f"{shard}: this shard of the packs was replaced or damaged since the index was read. Run the same "
                    "command again; if this message stays, copy the packs again."
                )
        except OSError as error:
            return error
        return OSError(WRONG_CHECKSUM)

    def find(self, path: str) -> Location | None:
        """Return where an image is; None if it is not in the packs."""
        path_hash = hash_of(path)
        hashes = self._table[0]
        column = int(np.searchsorted(hashes, np.uint64(path_hash)))
        if column == len(hashes) or int(hashes[column]) != path_hash:
            return None
        return Location(*map(int, self._table[:, column]))


def hash_of(path: str) -> int:
    """Return the hash by which a path is found in a lookup table."""
    return xxh3_64_intdigest(path.encode())


def read_range(file: ImagesFolder, offset: int, size: int) -> bytes:
    """Return `size` bytes of a shard.

    Raises:
        StoreError: The shard is missing or too short, or its store does not answer.
        OSError: The disk cannot be read.
    """
    if not size:
        return b""
    try:
        content = _request(file, offset, size) if isinstance(file, ImagesUrl) else _pread(file, offset, size)
    except FileNotFoundError:
        raise StoreError(
            f"{file}: this shard of the packs is missing. Copy it there, or pack the images again."
        ) from None
    if len(content) != size:
        raise StoreError(f"{file}: this shard of the packs is cut off. Copy it again, or pack the images again.")
    return content


def _has_header(shard: ImagesFolder, location: Location) -> bool:
    """Return whether the tar header before an image states its size; a shard of other images has none there."""
    try:
        block = read_range(shard, location.offset - tarfile.BLOCKSIZE, tarfile.BLOCKSIZE)
        return tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape").size == location.size
    except tarfile.HeaderError:
        return False


def _request(file: ImagesUrl, offset: int, size: int) -> bytes:
    from data_manifest.images.object_store import client_of, send_request  # needs an optional package

    client = client_of(file.root)
    return bytes(send_request(file.root, file.key, lambda: client.get_range(file.key, start=offset, length=size)))


def _pread(file: Path, offset: int, size: int) -> bytes:
    shard = _open_shard(file)  # the name keeps it open while it is read
    return os.pread(shard.descriptor, size, offset)


class _OpenShard:
    """A file that is closed once it is neither cached nor in use by a thread."""

    def __init__(self, file: Path) -> None:
        self.descriptor = os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, self.descriptor)


_open_shard = functools.lru_cache(MAX_OPEN_SHARDS)(_OpenShard)
