"""Exact search: the nearest database descriptors of each query by L2 distance, the database piece by piece.

A database of millions of descriptors lies on the disk. Pieces of it go through faiss one after the other, and each
query keeps its best matches so far; more than a piece is never in memory.
"""

import mmap
from collections.abc import Iterator

import faiss
import numpy as np
import numpy.typing as npt

from data_manifest.errors import UserError
from data_manifest.progress import Progress

PIECE_BYTES = 1 << 27
Float32s = npt.NDArray[np.float32]
Found = tuple[Float32s, npt.NDArray[np.int64]]


def search(database: Float32s, queries: Float32s, k: int, piece_bytes: int = PIECE_BYTES) -> Found:
    """Return the squared L2 distances and the database rows of each query's k nearest descriptors, nearest first.

    The same as of one flat index of faiss, but for the order of matches whose distances differ by rounding alone.

    Args:
        database: Descriptors [num_database, dim], finite; may be mapped into memory.
        queries: Descriptors [num_queries, dim], finite.
        k: Matches a query; a smaller database gives as many as it has.
        piece_bytes: How much of the database is searched at a time.

    Returns:
        Two arrays [num_queries, min(k, num_database)].

    Raises:
        UserError: There is no database image or no query.
    """
    _refuse_an_empty_side(database, queries)
    queries = np.ascontiguousarray(queries)
    best = faiss.ResultHeap(len(queries), min(k, len(database)))
    with Progress("searching", len(database), "database images") as progress:
        for first, piece in pieces(database, piece_bytes):
            squared_distances, rows = faiss.knn(queries, piece, min(k, len(piece)))
            best.add_result(squared_distances, rows + first)
            progress.advance(len(piece))
    best.finalize()
    return best.D, best.I


def pieces(database: Float32s, piece_bytes: int = PIECE_BYTES) -> Iterator[tuple[int, Float32s]]:
    """Give an array piece by piece, each with its first row's number.

    Of a file mapped into memory each piece is mapped anew and let go of: the whole mapping would come to count as
    memory of this process.
    """
    row_bytes = database.shape[1] * database.itemsize
    step = max(1, piece_bytes // row_bytes)
    for first in range(0, len(database), step):
        last = min(first + step, len(database))
        if isinstance(database, np.memmap) and isinstance(database.base, mmap.mmap):
            place, shape = database.offset + first * row_bytes, (last - first, database.shape[1])
            yield first, np.memmap(database.filename, database.dtype, "r", place, shape)
        else:
            yield first, np.ascontiguousarray(database[first:last])


def _refuse_an_empty_side(database: Float32s, queries: Float32s) -> None:
    for name, descriptors in (("database", database), ("queries", queries)):
        if not len(descriptors):
            raise UserError(f"the search has 0 {name} descriptors: it needs at least one image on each side")
