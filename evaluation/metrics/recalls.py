"""Recall: the share of queries with a positive among their k best matches, and its confidence interval."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.settings import RECALL_VALUES

CONFIDENCE = 0.95
Z = 1.96  # of a normal distribution, for this confidence
RESAMPLES = 100_000
SEED = 0


@dataclass(frozen=True)
class Recall:
    """R@k in percent of all queries, with its 95 % interval, and of the answerable ones; None if unknown."""

    k: int
    percent: float | None
    low: float | None
    high: float | None
    answerable: float | None


def compute_recalls(correct: npt.NDArray[np.bool_], ks: tuple[int, ...] = RECALL_VALUES) -> dict[int, float]:
    """Return R@k in percent of all queries, by k. Queries without a positive count as misses, as in the literature.

    `correct` [num_queries, num_matches] says whether a match is a positive, best match first. A database smaller than k
    has fewer matches.
    """
    assert correct.size, correct.shape  # the search rejects an empty side
    return {k: 100.0 * float(correct[:, :k].any(axis=1).mean()) for k in ks}


def measure_recalls(
    correct: npt.NDArray[np.bool_], answerable: npt.NDArray[np.bool_], ks: tuple[int, ...] = RECALL_VALUES
) -> list[Recall]:
    """Return R@k with intervals; `answerable` [num_queries] says whether a query has a positive in the database."""
    of_answerable = compute_recalls(correct[answerable], ks) if answerable.any() else {}
    return [
        Recall(k, percent, *bootstrap_interval(percent, len(correct)), of_answerable.get(k))
        for k, percent in compute_recalls(correct, ks).items()
    ]


def bootstrap_interval(percent: float, num_queries: int) -> tuple[float, float]:
    """Return the 95 % interval of a recall, in percent, by bootstrap over the queries with a fixed seed.

    Hits among queries drawn with replacement follow the binomial distribution, so only their number is drawn.
    """
    hits = np.random.default_rng(SEED).binomial(num_queries, percent / 100, RESAMPLES)
    low, high = np.quantile(hits / num_queries, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return 100 * float(low), 100 * float(high)


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion, in percent (Wilson 1927); of no trials, all of it."""
    if not trials:
        return 0.0, 100.0
    share, spread = hits / trials, Z**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)
