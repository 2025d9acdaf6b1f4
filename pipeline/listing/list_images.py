"""List the images of a folder: the files in it, or the lines of the list file next to it. No image is opened."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.store.recipe import digest_of
from data_manifest.store.references import LIST_SUFFIX
from pipeline.listing.cache import cache_folder, known_blocks, known_sums, read_scan, write_scan, write_sums
from pipeline.listing.fetch_list import FetchedList, fetch_list
from pipeline.listing.folder_scan import IMAGE_SUFFIXES, NAMES_AT_A_TIME, Scan, read_folders, scan_tree
from pipeline.listing.leaves import Leaves
from pipeline.listing.lines import Lines
from pipeline.listing.read_list import find_blocks, read_block, read_bytes
from pipeline.listing.skipped import Skipped

HEAD_BYTES = 1 << 16
BYTES_OF_A_NAME = 92  # in SF-XL
Block = Callable[[], Iterator[bytes]]  # yields paths as lines
Sums = pl.DataFrame | None  # rows and hash sums per leaf of a block, as `LEAF_SUMS`, if they are worth keeping
Wanted = npt.NDArray[np.bool_]  # whether each leaf is wanted: [NUM_LEAVES]


class Listing(Protocol):
    """The image paths of a data set."""

    fingerprint: str  # digest of the paths
    skipped: Skipped
    escapes_newlines: bool  # lines hold NUL for a newline in a path

    @property
    def origin(self) -> ImagesFolder:
        """The folder or the list file."""

    @property
    def leaves(self) -> Leaves | None:
        """Rows and hash sums per leaf, if known before the paths are read."""

    def estimate(self) -> tuple[int, int]:
        """Return rough numbers of images and of bytes in their paths, at no cost."""

    def blocks(self, wanted: Wanted | None = None) -> Sequence[Block]:
        """Return blocks that together yield all paths, or at least those of the wanted leaves."""

    def keep(self, sums: Sequence[Sums]) -> None:
        """Cache rows and hash sums per leaf of all blocks for the next listing."""


class ListedImages:
    """The images in a list file, with any names."""

    escapes_newlines = False

    def __init__(self, origin: Path | FetchedList, cache: Path | None) -> None:
        self._cache, self._fetched, self.skipped = cache, origin, Skipped()  # a fetched list is removed with its object
        if isinstance(origin, FetchedList):
            self.origin: ImagesFolder = origin.origin
            self._file, self.skipped = origin.path, origin.skipped
        else:
            self.origin = self._file = origin
        self._blocks = known_blocks(self._file, cache) if cache else find_blocks(self._file)
        self.fingerprint = digest_of([block.digest.hex() for block in self._blocks])

    def estimate(self) -> tuple[int, int]:
        """Return the number of lines, estimated from the first ones, and the size of the file.

        Raises:
            UserError: The list cannot be read.
        """
        head, size = read_bytes(self._file, 0, HEAD_BYTES), self._blocks[-1].end if self._blocks else 0
        return size * max(1, head.count(b"\n")) // max(1, len(head)), size

    def blocks(self, wanted: Wanted | None = None) -> list[Block]:
        """Return the blocks of the list; only those that have wanted leaves, if it is known which."""
        blocks: list[Block] = [partial(read_block, self._file, block) for block in self._blocks]
        if wanted is None or self._sums is None:
            return blocks
        numbers = self._sums.filter(pl.Series(wanted).gather(self._sums["leaf"]))["number"].unique().sort()
        return [blocks[number] for number in numbers]

    @cached_property
    def leaves(self) -> Leaves | None:
        """Rows and hash sums per leaf, if the cache has most blocks of the list."""
        return None if self._sums is None else Leaves().add(self._sums)

    @cached_property
    def _sums(self) -> pl.DataFrame | None:
        return known_sums(self._file, self._blocks, self._cache) if self._cache else None

    def keep(self, sums: Sequence[Sums]) -> None:
        """Cache rows and hash sums per leaf of the blocks for the next listing."""
        if self._cache:
            write_sums(self._blocks, sums, self._cache)


class FoundImages:
    """The images in a folder and below."""

    escapes_newlines = True

    def __init__(self, origin: Path, cache: Path | None, rescan: bool) -> None:
        self.origin = origin
        known = read_scan(cache) if cache and not rescan else Scan()
        self.scan = scan_tree(origin, known)
        self.skipped = self._skipped()
        if not any(folder.count for folder in self.scan.folders.values()):
            but = f"; skipped {self.skipped}" if self.skipped else ""
            raise UserError(f"{origin}: no image in it (looked for {', '.join(IMAGE_SUFFIXES)}{but})")
        if cache and self.scan.folders != known.folders:
            write_scan(self.scan, cache)
        self.leaves = Leaves().add(self.scan.leaves)
        self.fingerprint = self.leaves.digest()

    def _skipped(self) -> Skipped:
        folders = self.scan.folders.values()
        names = Counter(os.fsdecode(name) for folder in folders for name in folder.skipped_folders)
        return Skipped(sum(folder.hidden_images for folder in folders), names)

    def estimate(self) -> tuple[int, int]:
        """Return the number of images, and the bytes of their paths if names are as long as in SF-XL."""
        counts = {path: folder.count for path, folder in self.scan.folders.items()}
        path_bytes = sum(count * (len(path) + BYTES_OF_A_NAME) for path, count in counts.items())
        return sum(counts.values()), path_bytes

    def blocks(self, wanted: Wanted | None = None) -> list[Block]:
        """Return the paths of the folders that have images in wanted leaves; of all by default."""
        rows = self.scan.leaves
        if wanted is not None:
            rows = rows.filter(pl.Series(wanted).gather(rows["leaf"]))
        paths = rows["path"].unique().sort()
        names = pl.Series([self.scan.folders[path].count for path in paths], dtype=pl.Int64).cum_sum()
        folders = pl.DataFrame({"path": paths, "batch": names // NAMES_AT_A_TIME})
        batches = folders.group_by("batch", maintain_order=True).agg("path")["path"].to_list()
        return [partial(read_folders, self.origin, batch) for batch in batches]

    def keep(self, sums: Sequence[Sums]) -> None:
        """Do nothing: the scan is cached."""


def path_blocks(listing: Listing) -> Iterator[pl.Series]:
    """Yield all paths as bytes, block by block, including repeats."""
    for block in listing.blocks():
        for content in block():
            lines = Lines.split(content)
            yield (lines.with_escaped_newlines() if listing.escapes_newlines else lines).column()


def list_file_of(images_folder: Path) -> Path:
    """Return the list file of a folder, which is next to it: `train_images_paths.txt` for `train`."""
    folder = images_folder.resolve() if images_folder.name in ("", "..") else images_folder  # `.` has no name
    return folder.parent / (folder.name + LIST_SUFFIX)


def list_images(
    images_folder: ImagesFolder, artifacts: Path | None = None, rescan: bool = False, list_file: Path | None = None
) -> Listing:
    """List the images of a folder, from the list file next to it if there is one.

    Args:
        images_folder: The folder, or its URL.
        artifacts: The artifacts folder, for the cache of listings; None: do not cache.
        rescan: Ignore the cache.
        list_file: List of the images at a URL; by default that beside the folder, or what is in the bucket.

    Raises:
        UserError: There is neither a folder nor a list file, it has no image, or it cannot be read.
    """
    if isinstance(images_folder, ImagesUrl):
        fetched = FetchedList(images_folder, list_file) if list_file else fetch_list(images_folder)
        return ListedImages(fetched, cache_folder(artifacts, fetched.origin) if artifacts and not rescan else None)
    list_file = list_file_of(images_folder)
    from_list = list_file.is_file()
    if not from_list and not images_folder.is_dir():
        raise UserError(f"{images_folder}: no such folder, and no list of its images at {list_file}")
    origin = list_file if from_list else images_folder
    cache = cache_folder(artifacts, origin) if artifacts else None
    return ListedImages(origin, None if rescan else cache) if from_list else FoundImages(origin, cache, rescan)
