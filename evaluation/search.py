"""Exact search: the nearest database descriptors of each query, by faiss's flat L2 index."""

import faiss
import numpy as np
import numpy.typing as npt

from data_manifest.errors import UserError


def search(
    database: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], k: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the squared L2 distances and the database rows of each query's k nearest descriptors, nearest first.

    Args:
        database: Descriptors [num_database, dim], finite.
        queries: Descriptors [num_queries, dim], finite.
        k: Matches a query; a smaller database gives as many as it has.

    Returns:
        Two arrays [num_queries, min(k, num_database)].

    Raises:
        UserError: There is no database image or no query.
    """
    for name, descriptors in (("database", database), ("queries", queries)):
        if not len(descriptors):
            raise UserError(f"the search has 0 {name} descriptors: it needs at least one image on each side")
    index = faiss.IndexFlatL2(database.shape[1])
    index.add(np.ascontiguousarray(database))
    squared_distances, rows = index.search(np.ascontiguousarray(queries), min(k, len(database)))
    return squared_distances, rows
