import numpy as np
import pytest

from evaluation.recalls import compute_recalls

# Six queries, 20 matches each: the ranks at which a positive is found.
RANKS_OF_POSITIVES = [
    [1, 4],  # right at once
    [1],  # likewise
    [3, 5],  # within 5
    [6, 7, 20],  # within 10
    [20],  # within 20, only just
    [],  # no positive at all: a miss at every k
]


def table() -> np.ndarray:
    return np.array([[rank in ranks for rank in range(1, 21)] for ranks in RANKS_OF_POSITIVES])


def test_six_queries_by_hand() -> None:
    recalls = compute_recalls(table())
    assert list(recalls) == [1, 5, 10, 20]
    assert recalls == pytest.approx({1: 100 * 2 / 6, 5: 100 * 3 / 6, 10: 100 * 4 / 6, 20: 100 * 5 / 6})


def test_other_values_by_hand() -> None:
    assert compute_recalls(table(), (3, 6)) == pytest.approx({3: 50.0, 6: 100 * 4 / 6})


def test_a_small_database_gives_the_matches_it_has() -> None:
    assert compute_recalls(np.array([[False, True], [False, False]])) == {1: 0.0, 5: 50.0, 10: 50.0, 20: 50.0}
