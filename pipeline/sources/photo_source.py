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
import xxhash

from data_manifest.errors import io_error, is_io_error
from data_manifest.images.data_set_names import folder_of
from data_manifest.images.file_states import stat_file
from data_manifest.images.heif import HEIF_SUFFIXES, NEEDS_HEIF, can_read_heif, is_named_heif
from data_manifest.images.hidden import is_hidden, is_system_folder
from data_manifest.images.images_folder import local_folder
from data_manifest.progress import Progress
from data_manifest.store.recipe import digest_of
from pipeline.execution.executor import usable_cores
from pipeline.listing.list_images import Listing, path_blocks
from pipeline.metadata.fields import clean_number
from pipeline.metadata.paths import Paths
from pipeline.metadata.rejects import Reason
from pipeline.metadata.track_headings import fill_headings
from pipeline.sources.photo_metadata import UNREADABLE, Fields, read_photo
from pipeline.sources.settings import FROM_TRACK, SourceSettings
from pipeline.sources.source import FOLDER, SOURCE_FIELDS, Reader, Source, read_fields

VERSION = 5  # raise it when the fields, rejects or notes of a photo change
PHOTOS_PER_PARTITION = 5_000
STATES_AT_A_TIME = 1_000
THREADS = 16  # mostly waiting for the disk
MIN_JOBS_FOR_PROCESSES = 3  # with fewer partitions, starting processes takes longer than it saves
OTHER_PHOTOS = (".avif", ".webp", ".dng", ".tif", ".tiff")
COLUMNS = (*SOURCE_FIELDS, "heading_source", "heading_reference", "reason", "detail")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhotoReader(Reader):
    """Reads manifest rows from photos."""

    images_folder: Path
    from_track: bool  # whether missing headings are estimated
    camera_turn: float  # as in `fill_headings`

    def state(self, paths: Paths) -> bytes:
        """Return a digest of the photos' states and of how headings are found."""
        folder, content = os.fsencode(self.images_folder) + b"/", hashlib.sha256()
        for path in paths.in_bytes:
            content.update(state_of_file(folder + path))
        return f"{VERSION} {self.from_track} {self.camera_turn} ".encode() + content.digest()

    def read(self, paths: Paths, strict: bool, negative_headings: bool = False) -> pl.DataFrame:
        """Return manifest rows, as `Reader.read` does."""
        texts = paths.decode()
        read = functools.partial(_read_or_reject, os.fsencode(self.images_folder))
        with ThreadPoolExecutor(THREADS) as threads:
            photos = list(threads.map(read, texts["path"], texts["is_utf8"]))
        columns = {name: [photo.get(name, "") for photo in photos] for name in COLUMNS}
        rows = texts.hstack(pl.DataFrame(columns, schema=dict.fromkeys(COLUMNS, pl.String)))
        reject = pl.when(pl.col("reason") != "").then(pl.struct("reason", "detail"))
        rows = rows.with_columns(clean_number("heading"), reject=reject).drop("reason", "detail")
        images = read_fields(rows, strict, negative_headings)
        if self.from_track:
            images = fill_headings(images.with_columns(sequence=FOLDER), self.camera_turn).drop("sequence")
        return images


def _read_or_reject(folder: bytes, path: str, is_utf8: bool) -> Fields:
    """Return the fields of a photo, with `reason` and `detail` if it is unusable.

    Raises:
        UserError: An I/O error, which says nothing about the photo.
    """
    if not is_utf8:  # rejected later; the escaped path names no file
        return {}
    try:
        fields = read_photo(folder + b"/" + path.encode())
    except UNREADABLE as error:
        if isinstance(error, OSError) and is_io_error(error):
            raise io_error(f"{os.fsdecode(folder)}/{path}", error) from error
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        text = "not an image" if "cannot identify" in text else text
        return {"reason": Reason.UNREADABLE.value, "detail": text or type(error).__name__}
    if "latitude" not in fields:
        fields |= {"reason": Reason.NO_POSITION.value, "detail": fields.get("unclear", "no GPS position in the file")}
    return fields


def state_of_file(path: bytes) -> bytes:
    """Return the state of a photo: its size and modification time, 0 if missing."""
    size, modified_ns = stat_file(path, skip_errors=True)
    is_read = size is not None and is_named_heif(path) and can_read_heif()  # installing the extra changes the rows
    return b"%d %d\n%b" % (size or 0, modified_ns or 0, b"read\n" if is_read else b"")


def _sum_of_states(folder: bytes, paths: pl.Series) -> int:
    return sum(xxhash.xxh3_128_intdigest(path + b"\0" + state_of_file(folder + path)) for path in paths)


def state_of_listing(listing: Listing) -> str:
    """Return a digest of the photos' states, independent of their order."""
    folder, total = os.fsencode(_folder_of(listing)) + b"/", 0
    with (
        ThreadPoolExecutor(THREADS) as threads,
        Progress("checking the times of photos", None, "photos") as progress,
    ):
        for block in path_blocks(listing):
            parts = [block[begin : begin + STATES_AT_A_TIME] for begin in range(0, len(block), STATES_AT_A_TIME)]
            for states in threads.map(functools.partial(_sum_of_states, folder), parts):
                total += states
                progress.advance(STATES_AT_A_TIME)
    return digest_of([total % 2**128])


def _folder_of(listing: Listing) -> Path:
    return local_folder(folder_of(listing.origin), "--source exif")


def _warn_of_other_photos(folder: Path) -> None:
    """Log how many photos have formats that are not read."""
    counts: Counter[str] = Counter()
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_system_folder(os.fsencode(name))]
        counts.update(Path(name).suffix.lower() for name in names if not is_hidden(os.fsencode(name)))
    if not can_read_heif() and (count := sum(counts[suffix] for suffix in HEIF_SUFFIXES)):
        logger.warning("%s: %s HEIC photos are rejected. %s", folder, f"{count:,}", NEEDS_HEIF)
    for suffix in OTHER_PHOTOS:
        if count := counts[suffix]:
            text = "%s: %s photos %s are not read. Convert them to JPEG with metadata (see docs/guides/own-data.md)."
            logger.warning(text, folder, f"{count:,}", suffix)


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
        folder = _folder_of(listing).absolute()
        _warn_of_other_photos(folder)
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
