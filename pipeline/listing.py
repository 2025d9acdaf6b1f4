"""What images there are: a folder's files, or the lines of the list file beside it. No image is opened."""

import errno
import functools
import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from data_manifest.artefacts import DIGEST_LENGTH
from data_manifest.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
LIST_SUFFIX = "_images_paths.txt"
UTF8_MARK, UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listing:
    """The images of a data set, before any is looked at.

    Args:
        origin: The folder or the list file.
        paths: Distinct paths relative to the images folder, as bytes, sorted.
        repeats: How many lines of the list file named a path that another line had named.
    """

    origin: Path
    paths: pl.Series
    repeats: int

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of the paths and the repeats: the same for a folder and for a list of its files."""
        _, offsets, data = self.paths.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()
        ends = np.frombuffer(offsets, dtype=np.int64)[: len(self.paths) + 1]
        content = hashlib.sha256(ends.tobytes())
        content.update(memoryview(data)[ends[0] : ends[-1]])
        content.update(str(self.repeats).encode())
        return content.hexdigest()[:DIGEST_LENGTH]


def list_file_of(images_folder: Path) -> Path:
    """Return where the list file of a folder lies: beside it, `train_images_paths.txt` for `train`."""
    folder = images_folder.resolve() if images_folder.name in ("", "..") else images_folder  # `.` has no name
    return folder.parent / (folder.name + LIST_SUFFIX)


def list_images(images_folder: Path) -> Listing:
    """List the images of a folder, from the list file beside it if there is one.

    Raises:
        UserError: There is neither the folder nor a list file, there is no image in it, or it cannot be read.
    """
    list_file = list_file_of(images_folder)
    from_list = list_file.is_file()
    if not from_list and not images_folder.is_dir():
        raise UserError(f"{images_folder}: there is no such folder, and no list of its images at {list_file}")
    found = read_list(list_file) if from_list else list(walk_images(images_folder))
    origin = list_file if from_list else images_folder
    if not found:
        raise UserError(f"{origin}: no image in it (looked for {', '.join(IMAGE_SUFFIXES)})")
    paths = pl.Series("path", found, dtype=pl.Binary).unique().sort()
    return Listing(origin, paths, repeats=len(found) - len(paths))


def read_list(list_file: Path) -> list[bytes]:
    """Return the paths of a list file, one a line, with a byte-order mark, CRLF and blank lines seen to.

    Raises:
        UserError: The file cannot be read, or is UTF-16, as some Windows shells write it.
    """
    try:
        content = list_file.read_bytes()
    except OSError as error:
        raise UserError(f"{list_file}: cannot be read: {error.strerror}") from error
    if content.startswith(UTF16_MARKS):
        raise UserError(f"{list_file} is UTF-16: save it as UTF-8")
    lines = (line.removesuffix(b"\r") for line in content.removeprefix(UTF8_MARK).split(b"\n"))
    lines = (line.removeprefix(b"./") for line in lines)  # as `find .` writes them
    return [line for line in lines if line.strip()]


def walk_images(images_folder: Path) -> Iterator[bytes]:
    """Give the paths, relative to the folder, of all images in it and below, links to folders followed.

    Raises:
        UserError: A folder cannot be read.
    """
    suffixes = tuple(suffix.encode() for suffix in IMAGE_SUFFIXES)
    root = os.path.realpath(os.fsencode(images_folder))
    pending = [(root, b"", frozenset({root}))]
    while pending:
        folder, prefix, ancestors = pending.pop()
        for entry in _entries(folder):
            if _is_folder(entry):
                real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if real in ancestors:
                    logger.warning("%s leads back to a folder above it: not followed", os.fsdecode(entry.path))
                else:
                    pending.append((real, prefix + entry.name + b"/", ancestors | {real}))
            elif entry.name.lower().endswith(suffixes):
                yield prefix + entry.name


def _entries(folder: bytes) -> list[os.DirEntry[bytes]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise UserError(f"{os.fsdecode(folder)}: cannot be listed: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    """Return whether an entry is a folder or a link to one; a link that leads nowhere is none."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise UserError(f"{os.fsdecode(entry.path)}: cannot be followed: {error.strerror}") from error
