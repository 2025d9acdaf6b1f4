import numpy as np
import pytest
from scipy.stats import binomtest

from evaluation.metrics.recalls import bootstrap_interval, compute_recalls, measure_recalls, wilson_interval

# Ranks of the positives among the 20 matches of six queries.
RANKS_OF_POSITIVES = [
    [1, 4],
    [1],
    [3, 5],
    [6, 7, 20],
    [20],
    [],  # no positive: a miss for every k
]


def table() -> np.ndarray:
    return np.array([[rank in ranks for rank in range(1, 21)] for ranks in RANKS_OF_POSITIVES])


def test_six_queries_by_hand() -> None:
    recalls = compute_recalls(table())
    assert list(recalls) == [1, 5, 10, 20]
    assert recalls == pytest.approx({1: 100 * 2 / 6, 5: 100 * 3 / 6, 10: 100 * 4 / 6, 20: 100 * 5 / 6})


def test_other_values_of_k_by_hand() -> None:
    assert compute_recalls(table(), (3, 6)) == pytest.approx({3: 50.0, 6: 100 * 4 / 6})


def test_a_small_database_counts_the_matches_that_it_has() -> None:
    assert compute_recalls(np.array([[False, True], [False, False]])) == {1: 0.0, 5: 50.0, 10: 50.0, 20: 50.0}


def test_queries_without_a_positive_are_misses_except_among_the_answerable() -> None:
    answerable = np.array([True] * 5 + [False])
    first, last = measure_recalls(table(), answerable, (1, 20))
    assert [first.percent, first.answerable] == pytest.approx([100 * 2 / 6, 40.0])
    assert [last.percent, last.answerable] == pytest.approx([100 * 5 / 6, 100.0])
    assert measure_recalls(table(), np.zeros(6, bool), (1,))[0].answerable is None


@pytest.mark.parametrize(("hits", "count"), [(70, 100), (5, 1000), (999, 1000)])
def test_the_interval_agrees_with_drawing_queries(hits: int, count: int) -> None:
    queries = np.arange(count) < hits
    drawn = np.random.default_rng(1).choice(queries, (4000, count)).mean(axis=1)
    low, high = bootstrap_interval(100 * hits / count, count)
    assert low == pytest.approx(100 * np.quantile(drawn, 0.025), abs=200 / count)
    assert high == pytest.approx(100 * np.quantile(drawn, 0.975), abs=200 / count)
    assert low < 100 * hits / count < high or hits == 999
    assert (low, high) == bootstrap_interval(100 * hits / count, count), "its seed is fixed"


def test_more_queries_give_a_narrower_interval() -> None:
    narrow, wide = (high - low for low, high in (bootstrap_interval(70.0, count) for count in (10_000, 100)))
    assert narrow == pytest.approx(wide / 10, rel=0.1)


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (5, 5), (3, 10), (521, 792)])
def test_wilson_interval_matches_scipy(hits: int, trials: int) -> None:
    other = binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson_interval(hits, trials) == pytest.approx((100 * other.low, 100 * other.high), abs=0.01)
