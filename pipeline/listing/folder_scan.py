"""Folders of images: what is in them, and whether it is still what it was when they were last looked at.

A folder's modification time changes when a file in it is added, removed or renamed. So a folder that has the time it
had need not be listed again: a tree of millions of files is compared in as many steps as it has folders. Unpacking and
copying set that time to what it was elsewhere; the system's change time, which nobody can set, tells. Such times say
nothing about changes in the moments before they were read (git calls them racy), so young ones are not trusted. On NFS,
SMB and FUSE even old ones may lie: `--rescan` ignores them.
"""

import errno
import hashlib
import logging
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from data_manifest.errors import UserError
from data_manifest.images.file_states import MIN_AGE_NS
from data_manifest.images.heif import HEIF_SUFFIXES
from data_manifest.images.hidden import is_hidden, is_system_folder
from data_manifest.progress import Progress

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", *HEIF_SUFFIXES)
_SUFFIXES = tuple(suffix.encode() for suffix in IMAGE_SUFFIXES)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Folder:
    """A folder as it was when it was listed.

    Args:
        modified_ns: Its modification time.
        changed_ns: The time of the last change that the system counts, be it of the modification time.
        listed_ns: The clock, just before it was listed; 0 if it is to be listed each time.
        count: Images in it, not below.
        digest: Of the sorted names of these images.
        children: Names of the folders in it that are listed.
        hidden_images: Hidden images in it, which are not listed.
        skipped_folders: Names of the folders in it that are not listed.
    """

    modified_ns: int
    changed_ns: int
    listed_ns: int
    count: int
    digest: str
    children: tuple[bytes, ...]
    hidden_images: int = 0
    skipped_folders: tuple[bytes, ...] = ()

    def is_unchanged(self, modified_ns: int, changed_ns: int) -> bool:
        """Return whether the folder is certainly the same, given the times that it has now."""
        times = (self.modified_ns, self.changed_ns)
        return times == (modified_ns, changed_ns) and is_settled(times, self.listed_ns)


def is_settled(times_ns: Iterable[int], looked_at_ns: int) -> bool:
    """Return whether any change after a look at the clock would give other times of modification and change.

    It would not where the file system counts time coarsely or the clock was set back, so a moment must have passed.
    """
    return max(times_ns) + MIN_AGE_NS < looked_at_ns


def scan_tree(root: Path, known: Mapping[bytes, Folder]) -> dict[bytes, Folder]:
    """Return the folder and all folders below it, links to folders followed, by path relative to it.

    Hidden images and folders below it are skipped, and folders that systems keep there, as @eaDir.

    Args:
        root: The folder.
        known: What an earlier scan found; what of it can be trusted is not listed again.

    Raises:
        UserError: A folder cannot be read.
    """
    found: dict[bytes, Folder] = {}
    real_root = os.path.realpath(os.fsencode(root))
    pending = [(real_root, b"", frozenset({real_root}))]
    with Progress(f"listing {root}", None, "folders") as progress:
        while pending:
            path, relative, above = pending.pop()
            found[relative] = folder = _look_at(path, known.get(relative))
            progress.advance()
            for name in folder.children:
                child = path.removesuffix(b"/") + b"/" + name
                real = os.path.realpath(child) if os.path.islink(child) else child  # noqa: PTH114 -- bytes
                if real in above:
                    logger.warning("%s leads back to a folder above it: not followed", os.fsdecode(child))
                else:
                    pending.append((real, relative + name + b"/", above | {real}))
    return found


def list_names(root: Path, relative: bytes, digest: str) -> list[bytes]:
    """Return the sorted names of the images in a folder below `root`, which have this digest.

    Raises:
        UserError: The folder cannot be read, or its names have another digest by now.
    """
    path = os.fsencode(root) + b"/" + relative
    images = _list(path).images
    if digest_of_names(images) != digest:
        raise UserError(f"{os.fsdecode(path)} has changed while it was being read: run again")
    return images


def digest_of_names(names: list[bytes]) -> str:
    """Return a digest of sorted names; none has a NUL in it."""
    return hashlib.sha256(b"\0".join(names)).hexdigest()[:32]


def _look_at(path: bytes, before: Folder | None) -> Folder:
    try:
        state, now_ns = os.stat(path), time.time_ns()  # noqa: PTH116 -- bytes
    except OSError as error:
        raise UserError(f"{os.fsdecode(path)}: cannot be listed: {error.strerror}") from error
    if before is not None and before.is_unchanged(state.st_mtime_ns, state.st_ctime_ns):
        return before
    found = _list(path)
    return Folder(
        modified_ns=state.st_mtime_ns,
        changed_ns=state.st_ctime_ns,
        listed_ns=0 if found.has_links else now_ns,
        count=len(found.images),
        digest=digest_of_names(found.images),
        children=tuple(found.children),
        hidden_images=found.hidden_images,
        skipped_folders=tuple(found.skipped_folders),
    )


class _Entries(NamedTuple):
    """What is in a folder: sorted names of images and folders, and whether links may lead to folders.

    Where a link leads may change without a change of the folder that it is in, as when a disk is mounted.
    """

    images: list[bytes]
    children: list[bytes]
    has_links: bool
    hidden_images: int
    skipped_folders: list[bytes]


def _list(path: bytes) -> _Entries:
    images: list[bytes] = []
    children: list[bytes] = []
    skipped_folders: list[bytes] = []
    hidden_images, has_links = 0, False
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if _is_folder(entry):
                    (skipped_folders if is_system_folder(entry.name) else children).append(entry.name)
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
    return _Entries(sorted(images), sorted(children), has_links, hidden_images, sorted(skipped_folders))


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    """Return whether an entry is a folder or a link to one; a link that leads nowhere is none."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise UserError(f"{os.fsdecode(entry.path)}: cannot be followed: {error.strerror}") from error
