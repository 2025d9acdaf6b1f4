"""Which Parquet file an image's row belongs to: a function of the images there are, not of their order or history.

Folders are told apart by the bits of their paths' hashes: where those that start with the same bits hold too many
images, they are cut in two by the next bit. So small folders share a partition, and images added to a folder touch its
own partition alone. A folder that is too large by itself is left out of that, so that its neighbours do not matter, and
is cut by the checksums of its images' paths instead.
"""

import bisect
import hashlib
import itertools
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from data_manifest.progress import Progress
from pipeline.listing.list_images import Images, ImagesOfRuns, Listing
from pipeline.runs import Run

HASH_BITS, CHECKSUM_BITS = 64, 32
ROWS_PER_PARTITION = 250_000  # about; at most, but for chance in the cuts of a huge folder


def partitions(listing: Listing, scratch: Path, rows: int = ROWS_PER_PARTITION) -> Iterator[tuple[str, Images]]:
    """Give the key, fit for a file's name, and the images of each partition, in the order of the keys.

    Args:
        listing: The images.
        scratch: A folder for temporary files, which the images are read from: keep it until they are.
        rows: How many rows a partition should hold at most.
    """
    sizes = listing.sizes(scratch)
    for key, folders in sorted(folders_by_key(sizes, rows).items()):
        images = listing.images(folders)
        bits = max(0, (sum(sizes[folder] for folder in folders) - 1) // rows).bit_length()
        if bits:
            count = sum(sizes[folder] for folder in folders)
            with Progress("cutting a large folder", count, "images") as progress:
                cut = list(_cut_by_name(key, images, bits, scratch / f"lines-of-{key}", progress))
            yield from cut
        else:
            yield key, images


def folders_by_key(sizes: Mapping[bytes, int], rows: int) -> dict[str, list[bytes]]:
    """Return the folders of each partition by its key.

    That is the hash bits that they share, as `b` and 0s and 1s, or for a huge folder `f` and its hash.
    """
    keyed = {f"f{_hash_of(folder)}": [folder] for folder in sizes if sizes[folder] > rows}
    hashed = sorted((int(_hash_of(folder), 16), folder) for folder in sizes if sizes[folder] <= rows)
    hashes = [number for number, _ in hashed]
    sums = list(itertools.accumulate((sizes[folder] for _, folder in hashed), initial=0))
    pending = [("", 0, len(hashed))] if hashed else []
    while pending:
        prefix, begin, end = pending.pop()
        if end - begin > 1 and len(prefix) < HASH_BITS and sums[end] - sums[begin] > rows:
            middle = bisect.bisect_left(hashes, int((prefix + "1").ljust(HASH_BITS, "0"), 2), begin, end)
            halves = ((prefix + "0", begin, middle), (prefix + "1", middle, end))
            pending.extend(half for half in halves if half[1] < half[2])
        else:
            keyed[f"b{prefix}"] = [folder for _, folder in hashed[begin:end]]
    return keyed


def _hash_of(folder: bytes) -> str:
    return hashlib.blake2b(folder, digest_size=HASH_BITS // 8).hexdigest()


def _cut_by_name(
    key: str, images: Images, bits: int, scratch: Path, progress: Progress
) -> Iterator[tuple[str, Images]]:
    """Cut the images of a huge folder into 2^bits parts, written to a file, by the checksums of their paths."""
    runs: dict[int, list[Run]] = {}
    with scratch.open("wb") as file:
        for block in map(list, images.blocks()):
            separator = b"\n" if any(b"\0" in path for path in block) else b"\0"  # no path has both
            part_of = np.fromiter(map(zlib.crc32, block), np.int64, len(block)) >> (CHECKSUM_BITS - bits)
            order = np.argsort(part_of, kind="stable")
            for part, rows in _split_where_changed(part_of[order], order):
                content = b"".join(block[row] + separator for row in rows)
                runs.setdefault(part, []).append(Run(scratch, file.tell(), len(content), len(rows), separator))
                file.write(content)
            progress.advance(len(block))
    yield from ((f"{key}-{part:04x}", ImagesOfRuns(tuple(runs[part]))) for part in sorted(runs))


def _split_where_changed(
    parts: np.typing.NDArray[np.int64], rows: np.typing.NDArray[np.int64]
) -> Iterator[tuple[int, list[int]]]:
    first = np.flatnonzero(np.diff(parts, prepend=-1))
    for begin, end in zip(first, np.append(first[1:], len(parts)), strict=True):
        yield int(parts[begin]), rows[begin:end].tolist()
