"""Find the best matches of queries, by exact search or by an index whose loss is measured."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_manifest.progress import working
from evaluation.descriptors.build_descriptors import open_descriptors
from evaluation.descriptors.extract import Descriptors
from evaluation.search.build_index import build_index, open_index, search_index, size_of
from evaluation.search.exact_search import Float32s, Rows, search
from evaluation.settings import EXACT

MAX_QUERIES_COMPARED = 1000


@dataclass(frozen=True, eq=False)
class Matches:
    """The best matches of each query, best first, and a comparison of an index with exact search."""

    rows: Rows  # of the database [num_queries, k]
    scores: Float32s  # cosine similarities [num_queries, k]
    index_size: str | None = None  # in words; None for exact search
    compared: Rows | None = None  # queries [n] that were also searched exactly
    exact: Rows | None = None  # their database rows by exact search [n, k]


def find_matches(database: Path, queries: Descriptors, k: int, index: str, artifacts: Path) -> Matches:
    """Return the k best matches of each query in a folder of published descriptors; publishes the index if needed."""
    descriptors = open_descriptors(database)
    if index == EXACT:
        return exact_matches(descriptors, queries, k)
    folder = build_index(database, index, artifacts)
    rows = search_index(open_index(folder), descriptors, queries, k)[1]
    count = min(MAX_QUERIES_COMPARED, len(queries))
    compared = np.sort(np.random.default_rng(0).choice(len(queries), count, replace=False))
    exact = search(descriptors, queries[compared], k)[1]
    scores = cosine_similarities(queries, descriptors, rows)
    return Matches(rows, scores, size_of(folder, database), compared, exact)


def exact_matches(database: Descriptors, queries: Descriptors, k: int) -> Matches:
    """Return the k best matches of each query by exact search."""
    rows = search(database, queries, k)[1]
    return Matches(rows, cosine_similarities(queries, database, rows))


@working("computing similarities")
def cosine_similarities(queries: Descriptors, database: Descriptors, rows: Rows) -> Float32s:
    """Return the cosine similarity of each query to its matches [num_queries, k]; 0 for a descriptor of length 0.

    Descriptors need not have unit length.
    """
    scores = np.empty(rows.shape, np.float32)
    query_lengths = np.linalg.norm(queries, axis=1)
    for rank in range(rows.shape[1]):  # all ranks at once would copy k * dim values per query
        matched = database[rows[:, rank]]
        lengths = query_lengths * np.linalg.norm(matched, axis=1)
        scores[:, rank] = np.einsum("qd,qd->q", queries, matched) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scores
