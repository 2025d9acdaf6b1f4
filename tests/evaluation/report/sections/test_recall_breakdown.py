import polars as pl
import pytest
from scipy.stats import binomtest

from evaluation.report.sections.recall_breakdown import aspects, plot_matches_by, plot_recall_by, wilson_interval

DISTANCE, _, YEARS = aspects("metres")


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (5, 5), (3, 10), (521, 792)])
def test_wilson_interval_matches_scipy(hits: int, trials: int) -> None:
    other = binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson_interval(hits, trials) == pytest.approx((100 * other.low, 100 * other.high), abs=0.01)


def test_bins_include_their_upper_ends_and_have_labels() -> None:
    values = pl.DataFrame({"value": [0.0, 5.0, 5.1, 10.0, 25.0, 1000.0, 1001.0, float("inf")]})
    bins = values.select(DISTANCE.bin_of(pl.col("value"))).to_series().to_list()
    assert [DISTANCE.labels[each] for each in bins] == [
        *("0-5", "0-5", "5-10", "5-10", "10-25", "100-1000", ">1000", ">1000")
    ]
    assert all(len(each.labels) == len(each.ends) + 1 for each in (*aspects("metres"), *aspects("frames")))


def test_recall_by_distance_matches_counting() -> None:
    ranks, distances = [1, 1, 4, None, 9, 1, 1], [1.0, 4.0, 3.0, 7.0, 8.0, None, 20.0]
    outcomes = pl.DataFrame({"first_correct": ranks, "nearest_distance": distances})
    plot = plot_recall_by(outcomes, DISTANCE)
    assert plot is not None
    table = plot.data.select("label", "queries", "recall_1", "recall_5").rows()
    assert table == [("0-5", 3, pytest.approx(200 / 3), 100.0), ("5-10", 2, 0.0, 0.0), ("10-25", 1, 100.0, 100.0)]


def test_first_matches_by_years_and_none_if_years_are_unknown() -> None:
    outcomes = pl.DataFrame(
        {"state": ["correct", "incorrect", "unanswerable", "correct"], "match_years": [0, 0, 3, None]}
    )
    plot = plot_matches_by(outcomes, YEARS)
    assert plot_matches_by(outcomes.with_columns(match_years=None), YEARS) is None
    assert plot is not None
    assert plot.data.select("label", "correct", "incorrect").rows() == [("0", 1, 1), ("2-5", 0, 1)]
