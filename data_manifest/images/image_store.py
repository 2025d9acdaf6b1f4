"""Read the bytes of images from where they are stored."""

import io
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from data_manifest.images.images_folder import ImagesFolder, ImagesUrl

BLOCK = 4096  # bytes that are read from a file at a time
STAT_THREADS = 16  # at the same time, for network file systems


@dataclass(frozen=True)
class OpenedImage:
    """An image opened for reading, and its state when it was opened."""

    file: "io.BufferedReader[Any]"
    bytes: int
    modified_ns: int


class ImageReader(Protocol):
    """Images by paths relative to their folder. Can be sent to other processes."""

    def read(self, paths: Sequence[str]) -> Iterator[bytes | OSError]:
        """Yield the content of each image in order, or the reason why it cannot be read.

        Raises:
            StoreError: The store cannot be read now, whatever the image.
        """

    def sorted_by_place(self, paths: Sequence[str]) -> list[int]:
        """Return the indices of paths in the order in which the store reads them fastest."""


class ImageStore(ImageReader, Protocol):
    """The images of a folder or bucket, which can also be read in parts."""

    def open(self, paths: Sequence[str], whole: bool = True) -> Iterator[OpenedImage | OSError]:
        """Yield each image in order, open until the next one is taken, or the reason why it cannot be opened.

        Args:
            paths: The paths.
            whole: Images will be read to their end, so that a bucket may send all of it at once.

        Raises:
            StoreError: The store cannot be read now, whatever the image; also raised by reading from an image.
            OSError: The folder is missing.
        """


@dataclass(frozen=True)
class FolderStore:
    """Images in a folder of this machine. Each is read when its turn comes."""

    folder: Path

    def read(self, paths: Sequence[str]) -> Iterator[bytes | OSError]:
        """Yield the content of each image, or the error of reading it."""
        for path in paths:
            try:
                with open(f"{self.folder}/{path}", "rb", buffering=0) as file:  # noqa: PTH123 -- a Path takes longer
                    content = file.readall()
            except OSError as error:
                yield error
            else:
                yield content

    def open(self, paths: Sequence[str], whole: bool = True) -> Iterator[OpenedImage | OSError]:
        """Yield each image opened, or the error of opening it. Each is opened when its turn comes."""
        for path in paths:
            try:
                opened = _open_file(f"{self.folder}/{path}")
            except OSError as error:
                if isinstance(error, FileNotFoundError):
                    self.folder.stat()  # raises without the folder: all images would count as missing
                yield error
            else:
                with opened.file:
                    yield opened

    def sorted_by_place(self, paths: Sequence[str]) -> list[int]:
        """Return the indices of paths in the order of their inodes, which file systems place near the content."""
        by_path = sorted(range(len(paths)), key=paths.__getitem__)
        with ThreadPoolExecutor(STAT_THREADS) as threads:
            inodes = list(threads.map(self._inode, [paths[number] for number in by_path]))
        return [number for _, number in sorted(zip(inodes, by_path, strict=True))]

    def _inode(self, path: str) -> int:
        try:
            return os.stat(f"{self.folder}/{path}").st_ino  # noqa: PTH116 -- as above
        except OSError:  # reading shows what is wrong
            return 0


def _open_file(path: str) -> OpenedImage:
    file = io.BufferedReader(io.FileIO(path, opener=_open_without_blocking), BLOCK)
    state = os.fstat(file.fileno())
    if not stat.S_ISREG(state.st_mode):
        file.close()
        raise OSError("not a regular file")
    return OpenedImage(file, state.st_size, state.st_mtime_ns)


def _open_without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # opening a pipe would wait for its writer


def store_of(folder: ImagesFolder) -> ImageStore:
    """Return the store of a folder of images.

    Raises:
        UserError: It is a URL, and the package for it is missing.
    """
    if isinstance(folder, ImagesUrl):
        from data_manifest.images.object_store import ObjectStore  # needs an optional package

        return ObjectStore(folder)
    return FolderStore(folder)


def read_file(path: ImagesFolder) -> bytes:
    """Return the content of one file.

    Raises:
        OSError: It is missing or cannot be read.
        StoreError: The store cannot be read now.
    """
    content = next(store_of(path.parent).read([path.name]))
    if isinstance(content, OSError):
        raise content
    return content
