"""Build and search an approximate faiss index over a database's descriptors.

- ivfpq sorts descriptors into cells around centroids and stores codes of a 32nd of their size.
- hnsw stores a graph of neighbours with the descriptors: the fastest to search, the slowest to build, and the largest.

Either returns candidates, which are ranked by their full descriptors.
"""

import logging
import math
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from data_manifest.errors import UserError
from data_manifest.progress import Progress, working
from data_manifest.store.files import format_bytes
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, read_recipe
from evaluation.descriptors.build_descriptors import open_descriptors
from evaluation.descriptors.extract import Descriptors
from evaluation.search.exact_search import Float32s, Rows, blocks
from evaluation.settings import HNSW, IVFPQ

VERSION = 1  # raise when equal descriptors give another index
INDEX_FILE = "index.faiss"
MIN_POINTS_PER_CENTROID = 39  # faiss warns below it
CODE_VALUES = 256  # per byte
LINKS, CONSTRUCTION_CANDIDATES = 32, 200  # faiss's default of 40 candidates misses most matches in large databases
SEARCHED_CELLS_DIVISOR = 16
MIN_CANDIDATES = 200  # per query
QUERIES_PER_BATCH = 64  # 26 MB of candidates of 512 dimensions
logger = logging.getLogger(__name__)


def build_index(descriptors: Path, kind: str, artifacts: Path) -> Path:
    """Build an index, ivfpq or hnsw, over a folder of published descriptors, and return the published folder.

    Raises:
        UserError: There are too few descriptors for it, or the disk is full.
    """
    source, database = read_recipe(descriptors), open_descriptors(descriptors)
    settings = _settings(kind, *database.shape)
    recipe = Recipe("index", source["name"], VERSION, settings, {"descriptors": source["digest"]})
    if published := find_published(artifacts, recipe):
        return published
    logger.info("building index %s of %s descriptors", kind, f"{len(database):,}")
    index = _build(settings, database)
    summary = {"made": f"{kind} of {len(database):,} descriptors"}
    with publishing(artifacts, recipe, summary) as staging, working("writing the index"):
        faiss.write_index(index, str(staging / INDEX_FILE))
    return recipe.folder(artifacts)


def size_of(index: Path, descriptors: Path) -> str:
    """Return the size of an index in words, also relative to its descriptors."""
    size, whole = (index / INDEX_FILE).stat().st_size, open_descriptors(descriptors).nbytes
    return f"{format_bytes(size)}, {100 * size / whole:.0f} % of the descriptors' {format_bytes(whole)}"


def open_index(folder: Path) -> faiss.Index:
    """Return a published index, set to search as many cells as an evaluation does."""
    index = faiss.read_index(str(folder / INDEX_FILE))
    if isinstance(index, faiss.IndexIVF):
        index.nprobe = max(1, index.nlist // SEARCHED_CELLS_DIVISOR)
    return index


@working("searching the index")
def search_index(index: faiss.Index, descriptors: Descriptors, queries: Float32s, k: int) -> tuple[Float32s, Rows]:
    """Return the squared L2 distances and database rows of each query's k best candidates, as `search` does."""
    queries = np.ascontiguousarray(queries)
    candidates = _candidates(index, queries, min(max(MIN_CANDIDATES, 2 * k), index.ntotal))
    distances = np.empty((len(queries), min(k, index.ntotal)), np.float32)
    rows = np.empty(distances.shape, np.int64)
    for first in range(0, len(queries), QUERIES_PER_BATCH):
        batch = slice(first, first + QUERIES_PER_BATCH)
        difference = descriptors[candidates[batch]] - queries[batch, None]
        squared = np.einsum("qcd,qcd->qc", difference, difference)
        best = np.argsort(squared, axis=1, kind="stable")[:, : rows.shape[1]]
        rows[batch], distances[batch] = (
            np.take_along_axis(each, best, axis=1) for each in (candidates[batch], squared)
        )
    return distances, rows


def _candidates(index: faiss.Index, queries: Float32s, count: int) -> Rows:
    """Return candidate database rows [num_queries, count]; a disconnected graph repeats the last one found."""
    if isinstance(index, faiss.IndexHNSW):
        index.hnsw.efSearch = max(index.hnsw.efSearch, 2 * count)
    rows: Rows = index.search(queries, count)[1]
    too_few = np.flatnonzero((rows < 0).any(axis=1))
    if len(too_few) and isinstance(index, faiss.IndexIVF):
        all_cells = faiss.SearchParametersIVF()
        all_cells.nprobe = index.nlist
        rows[too_few] = index.search(queries[too_few], count, params=all_cells)[1]
    last_found = np.maximum.accumulate(np.where(rows < 0, 0, np.arange(count)), axis=1)
    return np.take_along_axis(rows, last_found, axis=1)


def _settings(kind: str, count: int, dim: int) -> dict[str, Any]:
    if kind == HNSW:
        return {"kind": HNSW, "links": LINKS, "looked_at": CONSTRUCTION_CANDIDATES}
    assert kind == IVFPQ, kind
    least = MIN_POINTS_PER_CENTROID * CODE_VALUES
    if count < least:
        raise UserError(
            f"index = {IVFPQ}: {count:,} database images are too few, it needs at least {least:,}. "
            "Give --index exact or --index hnsw"
        )
    cells = min(4 * math.isqrt(count), count // MIN_POINTS_PER_CENTROID)
    code_bytes = max(size for size in range(1, max(1, dim // 8) + 1) if dim % size == 0)
    return {"kind": IVFPQ, "cells": cells, "code_bytes": code_bytes}


def _build(settings: dict[str, Any], database: Descriptors) -> faiss.Index:
    dim = database.shape[1]
    index: faiss.Index
    if settings["kind"] == HNSW:
        index = faiss.IndexHNSWFlat(dim, LINKS)
        index.hnsw.efConstruction = CONSTRUCTION_CANDIDATES
    else:
        index = faiss.index_factory(dim, f"IVF{settings['cells']},PQ{settings['code_bytes']}x8")
        with working("training the index"):
            index.train(_sample(database, 4 * MIN_POINTS_PER_CENTROID * max(settings["cells"], CODE_VALUES)))
    with Progress("adding to the index", len(database), "descriptors") as progress:
        for _, block in blocks(database):
            index.add(block)
            progress.advance(len(block))
    return index


def _sample(database: Descriptors, count: int) -> Float32s:
    """Return random rows: the first rows of a database would all be from one neighbourhood."""
    rows = np.random.default_rng(0).choice(len(database), min(count, len(database)), replace=False)
    return np.ascontiguousarray(database[np.sort(rows)])
