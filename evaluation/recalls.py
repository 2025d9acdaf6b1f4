"""Recall: the share of queries with a positive among their k best matches."""

import numpy as np
import numpy.typing as npt

RECALL_VALUES = (1, 5, 10, 20)


def compute_recalls(correct: npt.NDArray[np.bool_], values: tuple[int, ...] = RECALL_VALUES) -> dict[int, float]:
    """Return R@k in percent of all queries, those without any positive counted as misses, as in the literature.

    Args:
        correct: [num_queries, num_matches]: whether the query's match of that rank is a positive; best match first.
            With fewer matches than k, because the database is small, R@k looks at those there are.
        values: Each k.
    """
    assert correct.size, correct.shape  # the search refuses an empty side
    return {k: 100.0 * float(correct[:, :k].any(axis=1).mean()) for k in values}
