import polars as pl
import pytest
from scipy.stats import binomtest

from evaluation.report.charts.style import conventions
from evaluation.report.sections.breakdown import aspects, plot_matches_by, plot_recall_by, wilson

DISTANCE, HEADING, YEARS = aspects("metres")


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (5, 5), (3, 10), (521, 792)])
def test_the_interval_is_scipys(hits: int, trials: int) -> None:
    other = binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson(hits, trials) == pytest.approx((100 * other.low, 100 * other.high), abs=0.01)


def test_bins_hold_their_high_ends() -> None:
    values = pl.DataFrame({"value": [0.0, 5.0, 5.1, 10.0, 25.0, 1000.0, 1001.0, float("inf")]})
    bins = values.select(DISTANCE.bin_of(pl.col("value"))).to_series().to_list()
    assert [DISTANCE.label(each) for each in bins] == [
        *("0-5", "0-5", "5-10", "5-10", "10-25", "100-1000", ">1000", ">1000")
    ]
    assert [YEARS.label(number) for number in range(6)] == ["0", "1", "2", "2-5", "5-10", ">10"]
    assert HEADING.label(4) == ">90"
    assert [aspects("frames")[0].label(number) for number in range(4)] == ["0-1", "2", "2-5", "5-10"]


def test_recall_by_distance_against_counting() -> None:
    ranks, distances = [1, 1, 4, None, 9, 1, 1], [1.0, 4.0, 3.0, 7.0, 8.0, None, 20.0]
    outcomes = pl.DataFrame({"first_right": ranks, "nearest_distance": distances})
    with conventions():
        plot = plot_recall_by(outcomes, DISTANCE)
    assert plot is not None
    table = plot.data.select("label", "queries", "recall_1", "recall_5").rows()
    assert table == [("0-5", 3, pytest.approx(200 / 3), 100.0), ("5-10", 2, 0.0, 0.0), ("10-25", 1, 100.0, 100.0)]


def test_first_matches_by_years_and_nothing_where_years_are_unknown() -> None:
    outcomes = pl.DataFrame({"state": ["right", "wrong", "unanswerable", "right"], "match_years": [0, 0, 3, None]})
    with conventions():
        plot = plot_matches_by(outcomes, YEARS)
        assert plot_matches_by(outcomes.with_columns(match_years=None), YEARS) is None
    assert plot is not None
    assert plot.data.select("label", "right", "wrong").rows() == [("0", 1, 1), ("2-5", 0, 1)]
