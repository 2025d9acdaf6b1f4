"""List the objects of a bucket, and find their states: sizes, modification times and ETags."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from data_manifest.images.images_folder import ImagesUrl, is_hidden
from data_manifest.images.object_file import state_of
from data_manifest.images.object_store import REQUESTS, client_of, send_request
from data_manifest.progress import Progress
from data_manifest.store.files import TemporaryFile

if TYPE_CHECKING:
    from obstore import ObjectMeta

MAX_HEADS = 5_000  # images whose states are requested one by one; for more, the folder is listed
OBJECTS_AT_A_TIME = 1_000  # as in the answers of S3
STATES = {"hash": pl.UInt64, "bytes": pl.Int64, "modified_ns": pl.Int64}  # 24 bytes per object, without its path
NEWLINES = str.maketrans("\r\n", "\0\0")
State = tuple[int | None, int | None]


@dataclass(frozen=True)
class ObjectListing:
    """The objects below a URL.

    Args:
        file: Their relative paths, one per line.
        states: Their states by the hash of the path, as `STATES`.
    """

    file: TemporaryFile
    states: pl.DataFrame


@functools.cache
def list_objects(folder: ImagesUrl) -> ObjectListing:
    """Return the objects below a URL as they were when this process first listed them.

    Raises:
        StoreError: It cannot be listed.
    """
    return send_request(folder.root, folder.key, lambda: _list_objects(folder))


def _list_objects(folder: ImagesUrl) -> ObjectListing:
    file, parts = TemporaryFile(), list[pl.DataFrame]()
    with Progress(f"listing {folder}", None, "objects") as progress, file.path.open("wb") as lines:
        for objects in _pages(folder):
            paths = pl.Series(_relative_paths(folder, objects), dtype=pl.String)
            sizes, times = zip(*map(state_of, objects), strict=True)
            parts.append(pl.DataFrame(dict(zip(STATES, (paths.hash(), sizes, times), strict=True)), STATES))
            lines.writelines(path.translate(NEWLINES).encode() + b"\n" for path in paths)
            progress.advance(len(objects))
    return ObjectListing(file, pl.concat(parts or [pl.DataFrame(schema=STATES)]).unique("hash"))


def _relative_paths(folder: ImagesUrl, objects: Sequence["ObjectMeta"]) -> list[str]:
    return [each["path"][len(folder.key) :].lstrip("/") for each in objects]


def _pages(folder: ImagesUrl) -> Iterator[Sequence["ObjectMeta"]]:
    yield from client_of(folder.root).list(folder.key or None, chunk_size=OBJECTS_AT_A_TIME)


def first_objects(folder: ImagesUrl, count: int, is_wanted: Callable[[str], bool]) -> list[str]:
    """Return the relative paths of up to `count` wanted objects below a URL; empty if it cannot be listed.

    Raises:
        StoreError: The store does not answer.
    """

    def first() -> list[str]:
        paths = (path for page in _pages(folder) for path in _relative_paths(folder, page))
        return list(itertools.islice(filter(is_wanted, paths), count))

    return send_request(folder.root, folder.key, first) if folder.can_list else []


def first_object(folder: ImagesUrl) -> str:
    """Return the name of an object below a URL that is not hidden; empty if there is none or it cannot be listed.

    Raises:
        StoreError: The store does not answer.
    """
    found = first_objects(folder, 1, lambda path: not is_hidden(path.rpartition("/")[2].encode()))
    return found[0].rpartition("/")[2] if found else ""


def object_states(folder: ImagesUrl, paths: Sequence[str], progress: Progress | None = None) -> list[State]:
    """Return size and modification time in ns of each object, as `state_of` does; None if it is missing.

    Args:
        folder: The URL that the paths are relative to.
        paths: The paths.
        progress: Advanced by each object.

    Raises:
        StoreError: The store does not answer.
    """
    if folder.can_list and len(paths) > MAX_HEADS:
        wanted = pl.DataFrame({"hash": pl.Series(paths, dtype=pl.String).hash()})
        found = wanted.join(list_objects(folder).states, on="hash", how="left", maintain_order="left")
        if progress is not None:
            progress.advance(len(found))
        return found.select("bytes", "modified_ns").rows()
    states = list[State]()
    with ThreadPoolExecutor(REQUESTS) as threads:
        for state in threads.map(functools.partial(_head, folder), paths):
            states.append(state)
            if progress is not None:
                progress.advance()
    return states


def _head(folder: ImagesUrl, path: str) -> State:
    key, client = (folder / path).key, client_of(folder.root)
    try:
        return state_of(send_request(folder.root, key, lambda: client.head(key)))
    except FileNotFoundError:
        return None, None
