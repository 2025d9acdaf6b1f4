"""A cache folder of images, and a store that reads from it first.

Loader workers import this module, so it imports no tables.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from data_manifest.images.image_store import ImageReader

CHECKSUM_BYTES, WORD = 8, 2**64
UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class ImageCache:
    """The images of one source in a cache folder, which other sources may share.

    Each file has the bytes of an image, and a checksum of these and of the image's path. The name of the file is a hash
    of source and path, its modification time that of the image.
    """

    folder: Path
    source: str  # identifies the images; equal for equal images

    def name(self, path: str) -> int:
        """Return the name of an image's file, as a number of 64 bits."""
        return self._key(path)[0]

    def _key(self, path: str) -> tuple[int, int]:
        """Return the name of an image's file, and the seed of its checksum."""
        return divmod(xxhash.xxh3_128_intdigest(f"{self.source}\n{path}".encode()), WORD)

    def file(self, name: int) -> str:
        """Return the path of the file with a name."""
        text = f"{name:016x}"
        return f"{self.folder}/{text[:2]}/{text}"

    def read(self, path: str) -> bytes | None:
        """Return the bytes of an image, or None if it is not there; a damaged file is removed."""
        name, seed = self._key(path)
        file = self.file(name)
        try:
            with open(file, "rb", buffering=0) as opened:  # noqa: PTH123 -- a Path takes longer
                entry = opened.readall()
        except OSError:
            return None
        content, checksum = entry[:-CHECKSUM_BYTES], entry[-CHECKSUM_BYTES:]
        if xxhash.xxh3_64_digest(content, seed) == checksum:
            return content
        with contextlib.suppress(OSError):
            os.unlink(file)  # noqa: PTH108
        return None

    def write(self, path: str, content: bytes, modified_ns: int) -> None:
        """Write an image's file, which appears whole or not at all.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        name, seed = self._key(path)
        file = self.file(name)
        unfinished = file + UNFINISHED
        try:
            with open(unfinished, "wb") as opened:  # noqa: PTH123
                opened.write(content)
                opened.write(xxhash.xxh3_64_digest(content, seed))
            os.utime(unfinished, ns=(modified_ns, modified_ns))
            os.rename(unfinished, file)  # noqa: PTH104
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(unfinished)  # noqa: PTH108
            raise

    def remove(self, name: int) -> None:
        """Remove the file with a name, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.file(name))  # noqa: PTH108


@dataclass(frozen=True)
class CachedStore:
    """A store of images with a cache in front of it."""

    cache: ImageCache
    store: ImageReader

    def read(self, paths: Sequence[str]) -> Iterator[bytes | OSError]:
        """Yield the content of each image as the store does, which reads those that are not in the cache."""
        cached = [self.cache.read(path) for path in paths]
        direct = self.store.read([path for path, content in zip(paths, cached, strict=True) if content is None])
        for content in cached:
            yield next(direct) if content is None else content

    def sorted_by_place(self, paths: Sequence[str]) -> list[int]:
        """Return the order in which the store reads images fastest."""
        return self.store.sorted_by_place(paths)
