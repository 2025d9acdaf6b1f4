"""Exact search: the nearest database descriptors of each query by L2 distance.

The database is searched in blocks, so that one of millions of descriptors can stay on disk.
"""

import mmap
from collections.abc import Iterator

import faiss
import numpy as np
import numpy.typing as npt

from data_manifest.errors import UserError
from data_manifest.progress import Progress

BLOCK_BYTES = 1 << 27
Float32s = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


def search(database: Float32s, queries: Float32s, k: int, block_bytes: int = BLOCK_BYTES) -> tuple[Float32s, Rows]:
    """Return the squared L2 distances and database rows of each query's k nearest descriptors, nearest first.

    Equal to one flat faiss index, except for the order of matches whose distances differ only by rounding.

    Args:
        database: Descriptors [num_database, dim], finite; may be memory-mapped.
        queries: Descriptors [num_queries, dim], finite.
        k: Matches per query; both results are [num_queries, min(k, num_database)].
        block_bytes: Bytes of the database per block.

    Raises:
        UserError: There is no database image or no query.
    """
    for name, descriptors in (("database", database), ("queries", queries)):
        if not len(descriptors):
            raise UserError(f"0 {name} descriptors: a search needs at least 1 database image and 1 query")
    queries = np.ascontiguousarray(queries)
    best = faiss.ResultHeap(len(queries), min(k, len(database)))
    with Progress("searching", len(database), "database images") as progress:
        for first, block in blocks(database, block_bytes):
            squared_distances, rows = faiss.knn(queries, block, min(k, len(block)))
            best.add_result(squared_distances, rows + first)
            progress.advance(len(block))
    best.finalize()
    return best.D, best.I


def blocks(database: Float32s, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, Float32s]]:
    """Yield blocks of rows, each with the number of its first row.

    Each block of a memory-mapped file is mapped separately; one mapping would grow to the size of the file in memory.
    """
    row_bytes = database.shape[1] * database.itemsize
    step = max(1, block_bytes // row_bytes)
    for first in range(0, len(database), step):
        last = min(first + step, len(database))
        if isinstance(database, np.memmap) and isinstance(database.base, mmap.mmap):
            offset, shape = database.offset + first * row_bytes, (last - first, database.shape[1])
            yield first, np.memmap(database.filename, database.dtype, "r", offset, shape)
        else:
            yield first, np.ascontiguousarray(database[first:last])
