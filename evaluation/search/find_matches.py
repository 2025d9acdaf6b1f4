"""The best matches of queries in a database of published descriptors: exact, or by an index whose loss is measured."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluation.descriptors.build_descriptors import open_descriptors
from evaluation.descriptors.extract import Descriptors
from evaluation.search.build_index import build_index, open_index, search_index, size_of
from evaluation.search.exact_search import search
from evaluation.settings import EXACT

MOST_QUERIES_MEASURED = 1000
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Matches:
    """Database rows [num_queries, k], best first, and, of an index, what exact search says of some of the queries."""

    rows: Rows
    size: str | None = None  # of the index, in words
    measured: Rows | None = None  # queries
    exact: Rows | None = None  # their matches by exact search


def find_matches(database: Path, queries: Descriptors, k: int, kind: str, artifacts: Path) -> Matches:
    """Search the best matches.

    Args:
        database: The folder of the database's descriptors.
        queries: Descriptors.
        k: Matches a query.
        kind: exact, ivfpq or hnsw.
        artifacts: Where an index is published.
    """
    descriptors = open_descriptors(database)
    if kind == EXACT:
        return Matches(search(descriptors, queries, k)[1])
    folder = build_index(database, kind, artifacts)
    rows = search_index(open_index(folder), descriptors, queries, k)[1]
    count = min(MOST_QUERIES_MEASURED, len(queries))
    measured = np.sort(np.random.default_rng(0).choice(len(queries), count, replace=False))
    return Matches(rows, size_of(folder, database), measured, search(descriptors, queries[measured], k)[1])
