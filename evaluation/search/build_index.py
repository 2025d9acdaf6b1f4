"""Approximate search: an index of faiss over a database's descriptors, as an artifact of its own.

Faster than exact search where many queries come one by one, at the price of some matches that it misses: how many, and
the size, are measured and shown whenever it is used in an evaluation.

- ivfpq: descriptors are sorted into cells around centres, and stored as short codes: a thirty-second of their size.
- hnsw: a graph of near neighbours beside the whole descriptors: the fastest and the longest to build, larger than they
  are.

Either names more candidates than are asked for. These are compared anew by their whole descriptors, which are on the
disk: a code tells apart what is near from what is far, and not what is nearest.
"""

import logging
import math
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from data_manifest.errors import UserError
from data_manifest.progress import Progress, working
from data_manifest.store.files import format_bytes
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, read_recipe
from evaluation.descriptors.build_descriptors import open_descriptors
from evaluation.descriptors.extract import Descriptors
from evaluation.search.exact_search import Float32s, Found, pieces
from evaluation.settings import HNSW, IVFPQ

INDEX_FILE, VERSION = "index.faiss", 1
POINTS_A_CENTRE = 39  # as few as faiss learns a centre from without a warning
CODE_VALUES = 256  # of a byte
LINKS, LOOKED_AT = 32, 200  # of an image in the graph, and among how many near ones they are chosen
SHARE_OF_CELLS_SEARCHED = 16
CANDIDATES = 200  # of a query, at least
QUERIES_AT_A_TIME = 64  # 26 MB of candidates of 512 numbers
logger = logging.getLogger(__name__)


def build_index(descriptors: Path, kind: str, artifacts: Path) -> Path:
    """Build an index over published descriptors, and return the folder of the artifact.

    Args:
        descriptors: The folder of the descriptors.
        kind: ivfpq or hnsw.
        artifacts: Where artifacts are published.

    Raises:
        UserError: There are too few descriptors for it, or the disk is full.
    """
    of, database = read_recipe(descriptors), open_descriptors(descriptors)
    settings = _settings(kind, *database.shape)
    recipe = Recipe("index", of["name"], VERSION, settings, {"descriptors": of["digest"]})
    if published := find_published(artifacts, recipe):
        return published
    logger.info("building an index %s of %s descriptors", kind, f"{len(database):,}")
    index = _build(settings, database)
    made = {"made": f"{kind} of {len(database):,} descriptors"}
    with publishing(artifacts, recipe, made) as staging, working("writing the index"):
        faiss.write_index(index, str(staging / INDEX_FILE))
    return recipe.folder(artifacts)


def size_of(index: Path, descriptors: Path) -> str:
    """Return in words how large an index is, in itself and against its descriptors."""
    size, whole = (index / INDEX_FILE).stat().st_size, open_descriptors(descriptors).nbytes
    return f"{format_bytes(size)}, {100 * size / whole:.0f} % of the descriptors' {format_bytes(whole)}"


def open_index(folder: Path) -> faiss.Index:
    """Return a published index, loaded, and set to look as far as an evaluation does."""
    index = faiss.read_index(str(folder / INDEX_FILE))
    if isinstance(index, faiss.IndexIVF):
        index.nprobe = max(1, index.nlist // SHARE_OF_CELLS_SEARCHED)
    return index


@working("searching the index")
def search_index(index: faiss.Index, descriptors: Descriptors, queries: Float32s, k: int) -> Found:
    """Return squared distances and database rows of each query's best matches among the index's candidates, best first.

    Fewer than k where the index holds fewer.

    Args:
        index: An opened index.
        descriptors: What it is of.
        queries: Descriptors [num_queries, dim].
        k: Matches a query.
    """
    queries = np.ascontiguousarray(queries)
    candidates = _candidates(index, queries, min(max(CANDIDATES, 2 * k), index.ntotal))
    distances = np.empty((len(queries), min(k, index.ntotal)), np.float32)
    rows = np.empty(distances.shape, np.int64)
    for first in range(0, len(queries), QUERIES_AT_A_TIME):
        some = slice(first, first + QUERIES_AT_A_TIME)
        between = descriptors[candidates[some]] - queries[some, None]
        squared = np.einsum("qcd,qcd->qc", between, between)
        best = np.argsort(squared, axis=1, kind="stable")[:, : rows.shape[1]]
        rows[some], distances[some] = (np.take_along_axis(each, best, axis=1) for each in (candidates[some], squared))
    return distances, rows


def _candidates(index: faiss.Index, queries: Float32s, count: int) -> npt.NDArray[np.int64]:
    """Return database rows that seem near to each query: [num_queries, count].

    Where there are fewer in the cells searched for a query, all cells are searched for that one; a graph in parts
    repeats the last one found.
    """
    if isinstance(index, faiss.IndexHNSW):
        index.hnsw.efSearch = max(index.hnsw.efSearch, 2 * count)
    rows: npt.NDArray[np.int64] = index.search(queries, count)[1]
    few = np.flatnonzero((rows < 0).any(axis=1))
    if len(few) and isinstance(index, faiss.IndexIVF):
        everywhere = faiss.SearchParametersIVF()
        everywhere.nprobe = index.nlist
        rows[few] = index.search(queries[few], count, params=everywhere)[1]
    last_found = np.maximum.accumulate(np.where(rows < 0, 0, np.arange(count)), axis=1)
    return np.take_along_axis(rows, last_found, axis=1)


def _settings(kind: str, count: int, dim: int) -> dict[str, Any]:
    if kind == HNSW:
        return {"kind": HNSW, "links": LINKS, "looked_at": LOOKED_AT}
    assert kind == IVFPQ, kind
    least = POINTS_A_CENTRE * CODE_VALUES
    if count < least:
        raise UserError(
            f"index = {IVFPQ}: its codes are learned from at least {least:,} database images, there are {count:,}; "
            "give --index exact or --index hnsw"
        )
    cells = min(4 * math.isqrt(count), count // POINTS_A_CENTRE)
    code_bytes = max(size for size in range(1, max(1, dim // 8) + 1) if dim % size == 0)
    return {"kind": IVFPQ, "cells": cells, "code_bytes": code_bytes}


def _build(settings: dict[str, Any], database: Descriptors) -> faiss.Index:
    dim = database.shape[1]
    index: faiss.Index
    if settings["kind"] == HNSW:
        index = faiss.IndexHNSWFlat(dim, settings["links"])
        index.hnsw.efConstruction = settings["looked_at"]  # by faiss's own 40 it misses most where images are many
    else:
        index = faiss.index_factory(dim, f"IVF{settings['cells']},PQ{settings['code_bytes']}x8")
        with working("training the index"):
            index.train(_sample(database, 4 * POINTS_A_CENTRE * max(settings["cells"], CODE_VALUES)))
    with Progress("adding to the index", len(database), "descriptors") as progress:
        for _, piece in pieces(database):
            index.add(piece)
            progress.advance(len(piece))
    return index


def _sample(database: Descriptors, count: int) -> Float32s:
    """Return rows from all over the database: neighbours in it are neighbours in the city."""
    rows = np.random.default_rng(0).choice(len(database), min(count, len(database)), replace=False)
    return np.ascontiguousarray(database[np.sort(rows)])
