"""Scan a folder of images and all folders below it; folders that have not changed since the last scan are not listed.

A folder's modification time changes when a file in it is added, removed or renamed. Unpacking and copying set that
time; the system's change time, which nobody can set, shows this. Times that are younger than 2 seconds when they are
read may miss later changes (git calls them racy) and are not trusted. On NFS, SMB and FUSE even old ones may be
wrong: `--rescan` ignores them.
"""

import errno
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from data_manifest.errors import UserError
from data_manifest.images.file_states import is_settled
from data_manifest.images.heif import HEIF_SUFFIXES
from data_manifest.images.images_folder import is_hidden, is_system_folder
from data_manifest.progress import Progress
from pipeline.execution.executor import run_all
from pipeline.listing.leaves import LEAF_SUMS, hash_lines
from pipeline.listing.lines import join_lines

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", *HEIF_SUFFIXES)
OTHER_SUFFIXES = (".avif", ".webp", ".dng", ".tif", ".tiff")  # photos that are not read
NAMES_AT_A_TIME = 250_000
LEAVES_OF_FOLDERS = pl.Schema({"path": pl.Binary(), **LEAF_SUMS})
_SUFFIXES = tuple(suffix.encode() for suffix in IMAGE_SUFFIXES)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Folder:
    """A folder as it was when it was listed.

    Args:
        modified_ns: Its modification time.
        changed_ns: Its change time.
        listed_ns: The clock just before it was listed; 0 if it must be listed each time, because links may lead to
            folders: where a link leads may change without a change of the folder that it is in, as by a mount.
        count: Images in it, not below.
        children: Sorted names of the folders in it that are scanned.
        hidden_images: Hidden images in it, which are not listed.
        skipped_folders: Sorted names of the folders in it that are not scanned.
    """

    modified_ns: int
    changed_ns: int
    listed_ns: int
    count: int
    children: Sequence[bytes]
    hidden_images: int = 0
    skipped_folders: Sequence[bytes] = ()

    def is_unchanged(self, modified_ns: int, changed_ns: int) -> bool:
        """Return whether the folder is certainly the same, given the times that it has now."""
        times = (self.modified_ns, self.changed_ns)
        return times == (modified_ns, changed_ns) and is_settled(times, self.listed_ns)


@dataclass(frozen=True)
class Scan:
    """The folders of a tree by their paths, which end with a slash, and how many images of each are in which leaf.

    Args:
        folders: The folders; the path of the top is empty.
        leaves: As `LEAVES_OF_FOLDERS`; several rows for the same folder and leaf add up.
    """

    folders: Mapping[bytes, Folder] = field(default_factory=dict)
    leaves: pl.DataFrame = field(default_factory=LEAVES_OF_FOLDERS.to_frame)


def scan_tree(root: Path, known: Scan) -> Scan:
    """Return the folder and all folders below it; links to folders are followed.

    Hidden images and folders below it are skipped, and folders that systems keep there, as @eaDir.

    Args:
        root: The folder.
        known: An earlier scan; folders that have certainly not changed since are not listed again.

    Raises:
        UserError: A folder cannot be read.
    """
    folders: dict[bytes, Folder] = {}
    found = list(run_all(_leaves_of, _in_batches(_walk(root, known.folders, folders)), None))
    unchanged = [path for path, folder in folders.items() if known.folders.get(path) is folder]
    trusted = known.leaves.join(pl.DataFrame({"path": unchanged}, {"path": pl.Binary}), on="path", how="semi")
    return Scan(folders, pl.concat([trusted, *found]))


def _walk(
    root: Path, known: Mapping[bytes, Folder], folders: dict[bytes, Folder]
) -> Iterator[tuple[bytes, list[bytes]]]:
    """Add all folders to `folders`; yield path and image names of those that had to be listed."""
    real_root = os.path.realpath(os.fsencode(root))
    pending = [(real_root, b"", frozenset({real_root}))]
    with Progress(f"listing {root}", None, "folders") as progress:
        while pending:
            path, relative, above = pending.pop()
            folder, names = _look_at(path, known.get(relative))
            folders[relative] = folder
            if names:
                yield relative, names
            progress.advance()
            for name in folder.children:
                child = path.removesuffix(b"/") + b"/" + name
                real = os.path.realpath(child) if os.path.islink(child) else child  # noqa: PTH114 -- bytes
                if real in above:
                    logger.warning("%s leads back to a folder above it: not followed", os.fsdecode(child))
                else:
                    pending.append((real, relative + name + b"/", above | {real}))


def _in_batches(listed: Iterable[tuple[bytes, list[bytes]]]) -> Iterator[list[tuple[bytes, list[bytes]]]]:
    """Yield folders with their names in batches that fit into memory; a huge folder is split over several."""
    batch: list[tuple[bytes, list[bytes]]] = []
    count = 0
    for folder, names in listed:
        for begin in range(0, len(names), NAMES_AT_A_TIME):
            some = names[begin : begin + NAMES_AT_A_TIME]
            if batch and count + len(some) > NAMES_AT_A_TIME:
                yield batch
                batch, count = [], 0
            batch.append((folder, some))
            count += len(some)
    if batch:
        yield batch


def _lines_of(batch: list[tuple[bytes, list[bytes]]]) -> bytes:
    return b"".join(join_lines(names, folder) for folder, names in batch)


def _leaves_of(batch: list[tuple[bytes, list[bytes]]]) -> pl.DataFrame:
    paths = pl.Series("path", [folder for folder, _ in batch], pl.Binary)
    numbers = np.repeat(np.arange(len(batch)), [len(names) for _, names in batch])
    sums = hash_lines(_lines_of(batch)).sum_up(folder=numbers)
    return sums.select(paths.gather(sums["folder"]), *LEAF_SUMS)


def read_folders(root: Path, folders: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the image paths of folders as lines, in blocks.

    Raises:
        UserError: A folder cannot be read.
    """
    listed = ((relative, _list(os.fsencode(root) + b"/" + relative)[1]) for relative in folders)
    yield from map(_lines_of, _in_batches(listed))


def _look_at(path: bytes, before: Folder | None) -> tuple[Folder, list[bytes]]:
    """Return the folder, and the names of its images if it had to be listed."""
    try:
        state, now_ns = os.stat(path), time.time_ns()  # noqa: PTH116 -- bytes
    except OSError as error:
        raise UserError(f"{os.fsdecode(path)}: cannot be listed: {error.strerror}") from error
    if before is not None and before.is_unchanged(state.st_mtime_ns, state.st_ctime_ns):
        return before, []
    return _list(path, state.st_mtime_ns, state.st_ctime_ns, now_ns)


def _list(path: bytes, modified_ns: int = 0, changed_ns: int = 0, now_ns: int = 0) -> tuple[Folder, list[bytes]]:
    images, children, skipped = list[bytes](), list[bytes](), list[bytes]()
    hidden_images, has_links = 0, False
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if _is_folder(entry):
                    (skipped if is_system_folder(entry.name) else children).append(entry.name)
                    has_links |= entry.is_symlink()
                elif entry.name.lower().endswith(_SUFFIXES):
                    if is_hidden(entry.name):
                        hidden_images += 1
                    else:
                        images.append(entry.name)
                else:
                    has_links |= entry.is_symlink()
    except OSError as error:
        raise UserError(f"{os.fsdecode(path)}: cannot be listed: {error.strerror}") from error
    listed_ns = 0 if has_links else now_ns
    times = (modified_ns, changed_ns, listed_ns)
    return Folder(*times, len(images), sorted(children), hidden_images, sorted(skipped)), images


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    """Return whether an entry is a folder or a link to one; False for a broken link."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise UserError(f"{os.fsdecode(entry.path)}: cannot be followed: {error.strerror}") from error
