"""Sizes and modification times of image files, which show whether an image has changed since it was read."""

import hashlib
import itertools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError
from data_manifest.images.heif import NAMED_HEIF
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.progress import Progress
from data_manifest.store.recipe import DIGEST_LENGTH, digest_of
from data_manifest.tables import table_files

STATE = ("path", "bytes", "modified_ns")
MIN_AGE_NS = 2_000_000_000  # a younger file may change again without a new modification time
MAX_WAIT_SECONDS = 30
IMAGES_AT_A_TIME = 2_048
SLOW_STAT_S = 50e-6  # as on network file systems, where many threads pay off
THREADS, THREADS_IF_SLOW = 2, 16
MISSING = -1


@dataclass(frozen=True)
class PartitionStates:
    """Summary of the file states of one partition: images listed, images present, digest of all, any HEIC."""

    images: int
    present: int
    digest: str
    heif: bool


@dataclass(frozen=True)
class ImageStates:
    """Summaries of the file states of a manifest's partitions."""

    partitions: tuple[PartitionStates, ...]

    @property
    def digest(self) -> str:
        """Digest of the paths, sizes and modification times of all images."""
        return digest_of([part.digest for part in self.partitions])


def stat_manifest(manifest: Path, images_folder: ImagesFolder) -> ImageStates:
    """Return a summary of the file states of a manifest's images, at the cost of one stat per image.

    Raises:
        UserError: The folder or all of its images are missing, or `stat_images` fails.
    """
    states = ImageStates(tuple(map(summarise_states, stat_partitions(manifest, images_folder))))
    images = sum(part.images for part in states.partitions)
    if images and not any(part.present for part in states.partitions):
        raise UserError(
            f"{images_folder}: none of the {images:,} images is there. Give the folder that the manifest was built from"
        )
    return states


def stat_partitions(manifest: Path, images_folder: ImagesFolder) -> Iterator[pl.DataFrame]:
    """Yield the file states of each partition of a manifest, in the order of its rows, as `stat_images` does."""
    files = table_files(manifest.absolute(), "manifest")
    total = pl.scan_parquet(files, glob=False).select(pl.len()).collect().item()
    with Progress("checking image files", total, "images") as progress:
        for file in files:
            yield stat_images(read_paths(file), images_folder, progress)


def read_paths(file: Path) -> pl.Series:
    """Return the column `path` of a Parquet file."""
    return pl.read_parquet(file, columns=["path"], glob=False)["path"]


def stat_images(
    paths: pl.Series,
    images_folder: ImagesFolder,
    progress: Progress | None = None,
    skip_errors: bool = False,
    settle: bool = True,
) -> pl.DataFrame:
    """Return the states of image files in the order of their paths: path, bytes, modified_ns; null where missing.

    Args:
        paths: Relative to the folder.
        images_folder: The folder.
        progress: Advanced by each image.
        skip_errors: Treat files on this machine whose state cannot be read as missing.
        settle: Wait until no file is younger than 2 seconds, because such files may still change.

    Raises:
        UserError: The folder is missing, a file's state cannot be read, or files are still being written.
    """
    if isinstance(images_folder, ImagesUrl):  # complete, or not there: nothing to wait for
        from data_manifest.images.object_listing import object_states  # needs an optional package

        return _frame(paths, object_states(images_folder, paths.to_list(), progress))
    if not images_folder.is_dir():
        raise UserError(f"{images_folder}: no such folder")
    stat = partial(settled_states if settle else _states, images_folder=images_folder, skip_errors=skip_errors)
    pieces = [paths[begin : begin + IMAGES_AT_A_TIME] for begin in range(0, max(1, len(paths)), IMAGES_AT_A_TIME)]
    began = time.monotonic()
    first = stat(pieces[0])
    is_slow = time.monotonic() - began > SLOW_STAT_S * len(first)
    found: list[pl.DataFrame] = []
    with ThreadPoolExecutor(THREADS_IF_SLOW if is_slow else THREADS) as threads:
        for states in itertools.chain([first], threads.map(stat, pieces[1:])):
            found.append(states)
            if progress is not None:
                progress.advance(len(states))
    return pl.concat(found)


def is_settled(times_ns: Iterable[int], read_ns: int) -> bool:
    """Return whether times are so old that any change after they were read gives other times.

    File systems may count time coarsely and clocks may be set back, so a moment must have passed.
    """
    return max(times_ns) + MIN_AGE_NS < read_ns


def changed_images(
    states: pl.DataFrame, images_folder: ImagesFolder, progress: Progress | None = None, skip_errors: bool = False
) -> pl.DataFrame:
    """Return the current states of the images whose state differs from `states`; null where missing.

    Arguments and errors are those of `stat_images`.
    """
    return differing_states(states, stat_images(states["path"], images_folder, progress, skip_errors, settle=False))


def differing_states(states: pl.DataFrame, today: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of today's states that differ from earlier ones of the same images in the same order."""
    differs = states["bytes"].ne_missing(today["bytes"]) | states["modified_ns"].ne_missing(today["modified_ns"])
    return today.filter(differs)


def settled_states(paths: pl.Series, images_folder: Path, skip_errors: bool = False) -> pl.DataFrame:
    """Return the states of image files as `stat_images` does, in one thread.

    Raises:
        UserError: As for `stat_images`.
    """
    give_up_at = time.monotonic() + MAX_WAIT_SECONDS
    while True:
        began_ns = time.time_ns()
        states = _states(paths, images_folder, skip_errors)
        young = states.filter(pl.col("modified_ns").is_between(began_ns - MIN_AGE_NS, time.time_ns()))
        if young.is_empty():
            return states
        if time.monotonic() > give_up_at:
            raise UserError(
                f"{images_folder}/{young['path'][0]}: still being written. Wait until all images are there, then run "
                "again"
            )
        youngest_ns: int = young["modified_ns"].max()  # type: ignore[assignment]
        time.sleep(max(0, youngest_ns + MIN_AGE_NS - time.time_ns() + 1) / 1e9)


def _states(paths: pl.Series, images_folder: Path, skip_errors: bool = False) -> pl.DataFrame:
    return _frame(paths, [stat_file(f"{images_folder}/{path}", skip_errors) for path in paths.to_list()])


def _frame(paths: pl.Series, states: Sequence[tuple[int | None, int | None]]) -> pl.DataFrame:
    sizes, times = (pl.Series([state[number] for state in states], dtype=pl.Int64) for number in range(2))
    return pl.DataFrame(dict(zip(STATE, (paths, sizes, times), strict=True)))


def stat_file(path: str | bytes, skip_errors: bool = False) -> tuple[int | None, int | None]:
    """Return the size and the modification time in ns of a file, None if it is missing.

    Raises:
        UserError: They cannot be read.
    """
    try:
        state = os.stat(path)  # noqa: PTH116 -- making a Path takes as long as the call
    except (FileNotFoundError, NotADirectoryError):
        return None, None
    except OSError as error:
        if skip_errors:
            return None, None
        raise UserError(
            f"{os.fsdecode(path)}: cannot read its size and time: {error.strerror}. Check the disk and the permissions"
        ) from error
    return state.st_size, state.st_mtime_ns


def summarise_states(states: pl.DataFrame) -> PartitionStates:
    """Return the summary of a partition's file states."""
    content = hashlib.sha256()
    paths = states["path"].cast(pl.Binary).rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    for buffer in paths.buffers()[1:]:  # offsets and bytes, so that different lists give different digests
        content.update(buffer or b"")
    for name in STATE[1:]:
        content.update(states[name].fill_null(MISSING).rechunk().to_numpy().data)
    present = len(states) - states["bytes"].null_count()
    heif = states["path"].str.contains(NAMED_HEIF).any()
    return PartitionStates(len(states), present, content.hexdigest()[:DIGEST_LENGTH], heif)
