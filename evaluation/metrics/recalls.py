"""Recall: the share of queries with a positive among their k best matches, and how sure that share is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RECALL_VALUES = (1, 5, 10, 20)
CONFIDENCE = 0.95
RESAMPLES = 100_000
SEED = 0


@dataclass(frozen=True)
class Recall:
    """R@k in percent: of all queries, with its 95 % interval, and of those that have a positive, if any has."""

    k: int
    percent: float
    low: float
    high: float
    answerable: float | None


def compute_recalls(correct: npt.NDArray[np.bool_], values: tuple[int, ...] = RECALL_VALUES) -> dict[int, float]:
    """Return R@k in percent of all queries, those without any positive counted as misses, as in the literature.

    Args:
        correct: [num_queries, num_matches]: whether the query's match of that rank is a positive; best match first.
            With fewer matches than k, because the database is small, R@k looks at those there are.
        values: Each k.
    """
    assert correct.size, correct.shape  # the search refuses an empty side
    return {k: 100.0 * float(correct[:, :k].any(axis=1).mean()) for k in values}


def measure_recalls(
    correct: npt.NDArray[np.bool_], answerable: npt.NDArray[np.bool_], values: tuple[int, ...] = RECALL_VALUES
) -> list[Recall]:
    """Return R@k for each k, with intervals.

    Args:
        correct: As for `compute_recalls`.
        answerable: [num_queries]: whether the query has a positive in the database.
        values: Each k.
    """
    among = compute_recalls(correct[answerable], values) if answerable.any() else {}
    return [
        Recall(k, percent, *bootstrap_interval(percent, len(correct)), among.get(k))
        for k, percent in compute_recalls(correct, values).items()
    ]


def bootstrap_interval(percent: float, num_queries: int) -> tuple[float, float]:
    """Return the 95 % interval of a recall, by bootstrap over the queries, with a seed of its own.

    A query is a hit or a miss. So the number of hits among as many queries drawn again, with replacement, follows the
    binomial distribution, which is drawn from directly: the same as drawing the queries, in a thousandth of the time.
    """
    hits = np.random.default_rng(SEED).binomial(num_queries, percent / 100, RESAMPLES)
    low, high = np.quantile(hits / num_queries, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return 100 * float(low), 100 * float(high)
