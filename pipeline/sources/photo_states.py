"""Digests of the sizes and modification times of photos."""

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import xxhash

from data_manifest.images.data_set_names import folder_of
from data_manifest.images.file_states import stat_file
from data_manifest.images.heif import can_read_heif, is_named_heif
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.progress import Progress
from data_manifest.store.recipe import digest_of
from pipeline.listing.list_images import Listing, path_blocks

STATES_AT_A_TIME = 1_000
THREADS = 16  # mostly waiting for the disk


def states_of(folder: ImagesFolder, paths: pl.Series) -> Iterator[bytes]:
    """Yield the state of each photo: its size and modification time, 0 if missing."""
    if isinstance(folder, ImagesUrl):
        from data_manifest.images.object_listing import object_states  # needs an optional package

        states: Iterable[tuple[int | None, int | None]] = object_states(folder, list(map(os.fsdecode, paths)))
    else:
        prefix = os.fsencode(folder) + b"/"
        states = (stat_file(prefix + path, skip_errors=True) for path in paths)
    for path, (size, modified_ns) in zip(paths, states, strict=True):
        is_read = size is not None and is_named_heif(path) and can_read_heif()  # installing the extra changes the rows
        yield b"%d %d\n%b" % (size or 0, modified_ns or 0, b"read\n" if is_read else b"")


def _sum_of_states(folder: ImagesFolder, paths: pl.Series) -> int:
    states = zip(paths, states_of(folder, paths), strict=True)
    return sum(xxhash.xxh3_128_intdigest(path + b"\0" + state) for path, state in states)


def state_of_listing(listing: Listing) -> str:
    """Return a digest of the photos' states, independent of their order."""
    folder, total = folder_of(listing.origin), 0
    with (
        ThreadPoolExecutor(THREADS) as threads,
        Progress("checking the times of photos", None, "photos") as progress,
    ):
        in_turn: Callable[..., Iterator[int]] = threads.map
        if isinstance(folder, ImagesUrl):
            in_turn = map  # each sends many requests at the same time
        for block in path_blocks(listing):
            is_listed = isinstance(folder, ImagesUrl) and folder.can_list  # at once, if there are many
            size = max(1, len(block)) if is_listed else STATES_AT_A_TIME
            parts = [block[begin : begin + size] for begin in range(0, len(block), size)]
            for part, states in zip(parts, in_turn(functools.partial(_sum_of_states, folder), parts), strict=True):
                total += states
                progress.advance(len(part))
    return digest_of([total % 2**128])
