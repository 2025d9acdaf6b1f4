"""Photos as the source: their EXIF and XMP. No picture is decoded."""

import contextlib
import functools
import hashlib
import logging
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError, io_error, is_io_error
from data_manifest.images.data_set_names import folder_of
from data_manifest.images.heif import HEIF_SUFFIXES, NEEDS_HEIF, can_read_heif
from data_manifest.images.image_store import store_of
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl, is_hidden, is_system_folder
from data_manifest.images.object_store import REQUESTS
from pipeline.execution.executor import usable_cores
from pipeline.listing.folder_scan import OTHER_SUFFIXES
from pipeline.listing.list_images import Listing, path_blocks
from pipeline.metadata.fields import clean_number
from pipeline.metadata.paths import Paths
from pipeline.metadata.rejects import Reason
from pipeline.metadata.track_headings import fill_headings
from pipeline.sources.photo_metadata import UNREADABLE, Fields, read_photo
from pipeline.sources.photo_states import THREADS, state_of_listing, states_of
from pipeline.sources.settings import FROM_TRACK, SourceSettings
from pipeline.sources.source import FOLDER, SOURCE_FIELDS, Reader, Source, read_fields

VERSION = 5  # raise it when the fields, rejects or notes of a photo change
PHOTOS_PER_PARTITION = 5_000
MIN_JOBS_FOR_PROCESSES = 3  # with fewer partitions, starting processes takes longer than it saves
COLUMNS = (*SOURCE_FIELDS, "heading_source", "heading_reference", "reason", "detail")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhotoReader(Reader):
    """Reads manifest rows from photos."""

    images_folder: ImagesFolder
    from_track: bool  # whether missing headings are estimated
    camera_turn: float  # as in `fill_headings`

    def state(self, paths: Paths) -> bytes:
        """Return a digest of the photos' states and of how headings are found."""
        content = hashlib.sha256()
        for state in states_of(self.images_folder, paths.in_bytes):
            content.update(state)
        return f"{VERSION} {self.from_track} {self.camera_turn} ".encode() + content.digest()

    def read(self, paths: Paths, strict: bool, negative_headings: bool = False) -> pl.DataFrame:
        """Return manifest rows, as `Reader.read` does."""
        texts = paths.decode()
        read = functools.partial(_read_or_reject, self.images_folder)
        with ThreadPoolExecutor(REQUESTS if isinstance(self.images_folder, ImagesUrl) else THREADS) as threads:
            photos = list(threads.map(read, texts["path"], texts["is_utf8"]))
        columns = {name: [photo.get(name, "") for photo in photos] for name in COLUMNS}
        rows = texts.hstack(pl.DataFrame(columns, schema=dict.fromkeys(COLUMNS, pl.String)))
        reject = pl.when(pl.col("reason") != "").then(pl.struct("reason", "detail"))
        rows = rows.with_columns(clean_number("heading"), reject=reject).drop("reason", "detail")
        images = read_fields(rows, strict, negative_headings)
        if self.from_track:
            images = fill_headings(images.with_columns(sequence=FOLDER), self.camera_turn).drop("sequence")
        return images


def _read_or_reject(folder: ImagesFolder, path: str, is_utf8: bool) -> Fields:
    """Return the fields of a photo, with `reason` and `detail` if it is unusable.

    Raises:
        UserError: An I/O error, or an error of the store: the photo may be fine.
    """
    if not is_utf8:  # rejected later; the escaped path names no file
        return {}
    try:
        fields = _read_in_store(folder, path)
    except UserError:
        raise
    except UNREADABLE as error:
        if isinstance(error, OSError) and is_io_error(error):
            raise io_error(f"{folder}/{path}", error) from error
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        text = "not an image" if "cannot identify" in text else text
        return {"reason": Reason.UNREADABLE.value, "detail": text or type(error).__name__}
    if "latitude" not in fields:
        fields |= {"reason": Reason.NO_POSITION.value, "detail": fields.get("unclear", "no GPS position in the file")}
    return fields


def _read_in_store(folder: ImagesFolder, path: str) -> Fields:
    images = store_of(folder).open([path], whole=False)  # closes the photo when it is deleted
    opened = next(images)
    if isinstance(opened, OSError):
        raise opened
    return read_photo(opened.file)


def _warn_of_other_photos(folder: ImagesFolder, listing: Listing) -> None:
    """Log how many photos have formats that are not read."""
    counts = Counter(Path(name).suffix.lower() for name in _visible_names(folder, listing))
    counts.update(listing.skipped.other_photos)
    if not can_read_heif() and (count := sum(counts[suffix] for suffix in HEIF_SUFFIXES)):
        logger.warning("%s: %s HEIC photos are rejected. %s", folder, f"{count:,}", NEEDS_HEIF)
    for suffix in OTHER_SUFFIXES:
        if count := counts[suffix]:
            text = "%s: %s photos %s are not read. Convert them to JPEG with metadata (see docs/guides/own-data.md)."
            logger.warning(text, folder, f"{count:,}", suffix)


def _visible_names(folder: ImagesFolder, listing: Listing) -> Iterator[str]:
    """Yield the names of all files that are not hidden; of a URL, only the listed paths."""
    if isinstance(folder, ImagesUrl):
        yield from (os.fsdecode(path) for block in path_blocks(listing) for path in block)
        return
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_system_folder(os.fsencode(name))]
        yield from (name for name in names if not is_hidden(os.fsencode(name)))


class PhotoSource(Source):
    """The photos themselves."""

    def __init__(self, options: SourceSettings) -> None:
        self.options, self.from_track = options, options.heading == FROM_TRACK
        super().__init__(
            "Photos need a GPS position in EXIF. To read positions from a table, pass --source table.",
            {"source": {**options.as_dict(), "version": VERSION}},
            rows_per_partition=None if self.from_track else PHOTOS_PER_PARTITION,  # a track needs neighbours
        )

    def inputs(self, listing: Listing) -> Mapping[str, str]:
        """Return a digest of the photos' states."""
        return {"files": state_of_listing(listing)}

    def open(self, listing: Listing, scratch: Path) -> tuple[Sequence[bytes], Reader]:
        """Return no other paths, and the reader."""
        folder = folder_of(listing.origin).absolute()
        _warn_of_other_photos(folder, listing)
        return (), PhotoReader(folder, self.from_track, self.options.camera_turn)

    @contextlib.contextmanager
    def executor(self, num_jobs: int) -> Iterator[Executor | None]:
        """Yield processes for many partitions, because parsing holds Python's lock."""
        if num_jobs < MIN_JOBS_FOR_PROCESSES or usable_cores() == 1:
            yield None
            return
        context = multiprocessing.get_context("spawn")  # a fork would copy polars' threads in an unknown state
        with ProcessPoolExecutor(min(num_jobs, usable_cores()), mp_context=context) as processes:
            yield processes
