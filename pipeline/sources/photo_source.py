"""The photos themselves as the source: EXIF, XMP and Mapillary's description, read in bulk, without decoding a picture.

A manifest of photos depends on each file's size and modification time, and a partition on those of its own files: where
these are as they were, nothing is read again. Partitions are small, and processes read several at once, for the parsing
is Python. Threads read the files of one where the disk keeps one waiting: where it does not, they would only fight over
Python's lock, and take twice the processor time.
"""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import logging
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.errors import is_of_the_machine, refused
from data_manifest.images.heif import HEIF_SUFFIXES, NEEDS_HEIF, can_read_heif, is_named_heif
from data_manifest.images.hidden import is_hidden, is_system_folder
from data_manifest.progress import Progress
from data_manifest.store.recipe import DIGEST_LENGTH
from data_manifest.store.references import folder_of
from pipeline.execution.usable_cores import usable_cores
from pipeline.listing.list_images import Listing
from pipeline.metadata.fields import clean_number
from pipeline.metadata.name_parts import Parts
from pipeline.metadata.read_names import distinct_paths
from pipeline.metadata.rejects import Reason
from pipeline.metadata.track_headings import fill_headings
from pipeline.sources.photo_metadata import UNREADABLE, Facts, read_photo
from pipeline.sources.settings import FROM_TRACK, SourceSettings
from pipeline.sources.source import WRITTEN, Reader, read_fields
from pipeline.texts import Texts

PHOTOS_PER_PARTITION = 5_000
THREADS = 16  # that wait for the disk, most of the time
READ_ALONE, READ_AT_A_TIME = 20, 500  # the first of so many photos are read alone, to see whether the disk is slow
SLOW_DISK = 3  # times the work, spent waiting: more than other programs on a busy machine make one wait
VERSION = 4  # of what is read of a photo
JOBS_FOR_PROCESSES = 3  # with fewer partitions to start processes takes longer than it spares
OTHER_PHOTOS = (".avif", ".webp", ".dng", ".tif", ".tiff")
logger = logging.getLogger(__name__)
COLUMNS = (*WRITTEN, "heading_source", "heading_reference", "reason", "detail")


@dataclasses.dataclass(frozen=True)
class PhotoReader:
    """Says of photos what their files do.

    Args:
        images_folder: Where they lie.
        from_track: Whether headings that are missing are estimated.
        camera_turn: As in `fill_headings`.
    """

    images_folder: Path
    from_track: bool = False
    camera_turn: float = 0.0
    by_paths_alone: bool = False

    def state(self, paths: Texts) -> bytes:
        """Return a digest of the sizes and modification times of photos, with how their headings are found."""
        return f"{VERSION} {self.from_track} {self.camera_turn} ".encode() + state_of_files(self.images_folder, paths)

    def read(
        self, paths: pl.DataFrame, strict: bool, parts: Parts | None = None, negative_headings: bool = False
    ) -> pl.DataFrame:
        """Return what the photos say."""
        folder = os.fsencode(self.images_folder)
        facts = read_all(functools.partial(_read_one, folder), list(paths.select("path", "is_utf8").iter_rows()))
        columns = {name: [each.get(name, "") for each in facts] for name in COLUMNS}
        rows = paths.hstack(pl.DataFrame(columns, schema=dict.fromkeys(COLUMNS, pl.String)))
        found = pl.struct("reason", "detail")
        reject = pl.when(pl.col("reason") != "").then(found)
        rows = rows.with_columns(clean_number("heading"), reject=reject).drop("reason", "detail")
        images = read_fields(rows, strict, negative_headings)
        if self.from_track:
            sequence = pl.col("path").str.replace(r"[^/]*$", "")
            images = fill_headings(images.with_columns(sequence=sequence), self.camera_turn).drop("sequence")
        return images


def read_all(read: Callable[[str, bool], Facts], photos: Sequence[tuple[str, bool]]) -> list[Facts]:
    """Return what is read of photos, in their order; by threads, for as long as most of the time is spent waiting."""
    facts: list[Facts] = []
    with ThreadPoolExecutor(THREADS) as threads:
        for begin in range(0, len(photos), READ_AT_A_TIME):
            alone, others = photos[begin : begin + READ_ALONE], photos[begin + READ_ALONE : begin + READ_AT_A_TIME]
            begun, worked = time.perf_counter(), time.thread_time()
            facts += itertools.starmap(read, alone)
            work = time.thread_time() - worked
            is_slow = time.perf_counter() - begun - work > SLOW_DISK * work
            facts += threads.map(lambda photo: read(*photo), others) if is_slow else itertools.starmap(read, others)
    return facts


def _read_one(folder: bytes, path: str, is_utf8: bool) -> Facts:
    """Return the fields of a photo, or the reason for which it is of no use.

    Raises:
        UserError: The machine does not give it: as a reject it would be remembered when rights are mended.
    """
    if not is_utf8:  # a reject already, whose path is not that of the file
        return {}
    try:
        facts = read_photo(folder + b"/" + path.encode())
    except UNREADABLE as error:
        if isinstance(error, OSError) and is_of_the_machine(error):
            raise refused(f"{os.fsdecode(folder)}/{path}", error) from error
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        text = "no image that can be read" if "cannot identify" in text else text
        return {"reason": Reason.UNREADABLE.value, "detail": text or type(error).__name__}
    if "latitude" not in facts:
        detail = facts.get("unclear", "the file has no GPS position")
        return {**facts, "reason": Reason.NO_POSITION.value, "detail": detail}
    return facts


def state_of_files(images_folder: Path, paths: Texts) -> bytes:
    """Return a digest of the size and the modification time of each file; those of one that is gone are 0."""
    content, folder = hashlib.sha256(), os.fsencode(images_folder) + b"/"
    for path in paths:
        try:
            found = os.stat(folder + path)  # noqa: PTH116 -- bytes
            content.update(b"%d %d\n" % (found.st_size, found.st_mtime_ns))
            if is_named_heif(path) and can_read_heif():  # with the extra, another manifest
                content.update(b"read\n")
        except OSError:
            content.update(b"0 0\n")
    return content.digest()


def state_of_listing(listing: Listing) -> str:
    """Return a digest of the size and the modification time of each image, folder by folder."""
    folder = folder_of(listing.origin)

    def state_of(name: bytes) -> bytes:
        return state_of_files(folder, distinct_paths(listing.images([name])).paths)

    content = hashlib.sha256()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(THREADS) as threads:
        folders = sorted(listing.sizes(Path(scratch)))
        with Progress("checking the times of photos", len(folders), "folders") as progress:
            for state in threads.map(state_of, folders):
                content.update(state)
                progress.advance()
    return content.hexdigest()[:DIGEST_LENGTH]


def _warn_of_others(folder: Path) -> None:
    """Say how many photos of other kinds there are, as phones and cameras save them: nothing else tells of them."""
    found: Counter[str] = Counter()
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_system_folder(os.fsencode(name))]
        found.update(Path(name).suffix.lower() for name in names if not is_hidden(os.fsencode(name)))
    if not can_read_heif() and (count := sum(found[suffix] for suffix in HEIF_SUFFIXES)):
        logger.warning("%s: %s HEIC photos are rejected. %s", folder, f"{count:,}", NEEDS_HEIF)
    for suffix, count in sorted((suffix, found[suffix]) for suffix in OTHER_PHOTOS if found[suffix]):
        text = "%s: %s photos %s are not read: convert them to JPEG, keeping the metadata (see docs/data.md)"
        logger.warning(text, folder, f"{count:,}", suffix)


@dataclasses.dataclass(frozen=True)
class PhotoSource:
    """The photos themselves."""

    options: SourceSettings
    expected: str = "Photos are expected to hold a GPS position in EXIF; --source table takes positions from a table"

    @property
    def rows_per_partition(self) -> int | None:
        """How many photos a partition has; as many as can be where neighbours are needed."""
        return None if self.options.heading == FROM_TRACK else PHOTOS_PER_PARTITION

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides the rows."""
        return {"source": {**self.options.as_dict(), "version": VERSION}}

    @property
    def summary(self) -> Mapping[str, Any]:
        """Return nothing: the folder is told of any source."""
        return {}

    def inputs(self, listing: Listing) -> Mapping[str, str]:
        """Return a digest of the files' sizes and modification times."""
        return {"files": state_of_listing(listing)}

    def open(self, listing: Listing, scratch: Path) -> tuple[Listing, Reader]:
        """Return the photos, and what reads them."""
        folder, turn = folder_of(listing.origin).absolute(), self.options.camera_turn
        _warn_of_others(folder)
        return listing, PhotoReader(folder, self.options.heading == FROM_TRACK, turn)

    @contextlib.contextmanager
    def executor(self, num_jobs: int) -> Iterator[Executor | None]:
        """Give processes, for more than a few partitions."""
        if num_jobs < JOBS_FOR_PROCESSES or usable_cores() == 1:
            yield None
            return
        context = multiprocessing.get_context("spawn")  # a fork would copy polars' threads in the middle of their work
        with ProcessPoolExecutor(min(num_jobs, usable_cores()), mp_context=context) as processes:
            yield processes
