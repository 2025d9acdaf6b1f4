"""Certainties of the first match of each query, computed only from its matches. Nothing is trained."""

import numpy as np
import numpy.typing as npt
import polars as pl

from evaluation.metrics.positives import Positions, distances_m

SIMILARITY, RATIO, SPREAD = "similarity", "ratio", "spread"
SIGNS = {SIMILARITY: 1.0, RATIO: -1.0, SPREAD: -1.0}  # 1: high values are certain
CALIBRATED = RATIO  # has the largest area on average: benchmarks/RESULTS.md
RANKS = 20  # best matches that the ratio considers; every evaluation has them
SPREAD_RANKS, SPREAD_SLOPE = 10, 350.0  # of SUE
SPREAD_LIMIT = 20  # thresholds, as SUE's 500 m at 25 m
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def certainties(
    rows: Rows, scores: npt.NDArray[np.float32], database: Positions, threshold: float
) -> dict[str, Floats]:
    """Return the similarity, ratio and spread of each query [num_queries], by name.

    - similarity: cosine similarity to the first match.
    - ratio: distance of the descriptors to the first match, divided by that to the second place, the best match further
      than the threshold from the first one. 0 if all matches are of one place; 1 if the two are equally far.
    - spread: `spread`.

    Args:
        rows: Database rows of the matches [num_queries, k], best first; more than `RANKS` have no effect.
        scores: Their cosine similarities [num_queries, k].
        database: Positions of the database.
        threshold: Radius of a place, in the unit of the positions.
    """
    rows, scores = rows[:, :RANKS], scores[:, :RANKS]
    distances = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * scores.astype(np.float64)))  # of descriptors of unit length
    apart = distances_m(database, rows[:, :1], database, rows)
    is_elsewhere = apart > threshold
    second = np.take_along_axis(distances, is_elsewhere.argmax(axis=1)[:, None], axis=1)[:, 0]
    ratio = np.ones_like(second)
    np.divide(distances[:, 0], second, out=ratio, where=second > 0)
    return {
        SIMILARITY: scores[:, 0].astype(np.float64),
        RATIO: np.where(is_elsewhere.any(axis=1), np.minimum(ratio, 1.0), 0.0),
        SPREAD: spread(rows[:, :SPREAD_RANKS], distances[:, :SPREAD_RANKS], database, SPREAD_LIMIT * threshold),
    }


def spread(rows: Rows, distances: Floats, database: Positions, limit: float) -> Floats:
    """Return how far the positions of the matches are spread [num_queries], in metres or frames.

    This is the root of the weighted variance of the positions, with weights exp(-350 d) for descriptors at distance d:
    SUE (arXiv 2404.00546, with the constants of its published code). SUE limits differences to the mean; here those to
    the first match are limited, in each coordinate, and a match in another UTM zone is at the limit.
    """
    offsets = np.clip(database.metres[rows] - database.metres[rows[:, :1]], -limit, limit)
    offsets[np.isinf(distances_m(database, rows[:, :1], database, rows))] = limit
    weights = np.exp(-SPREAD_SLOPE * (distances - distances.min(axis=1, keepdims=True)))
    weights /= weights.sum(axis=1, keepdims=True)
    means = np.einsum("qk,qkc->qc", weights, offsets)
    deviations: Floats = np.sqrt(np.einsum("qk,qkc->q", weights, (offsets - means[:, None]) ** 2))
    return deviations


def certainty_table(queries: pl.Series, found: dict[str, Floats], correct: npt.NDArray[np.bool_]) -> pl.DataFrame:
    """Return the table CERTAINTY; `correct` [num_queries] says whether the first match is a positive."""
    return pl.DataFrame({"query_path": queries, **found, "correct": correct})
