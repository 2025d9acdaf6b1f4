import polars as pl
import pytest

from evaluation.report.page.blocks import Charts
from evaluation.report.sections.recall_breakdown import (
    aspects,
    plot_matches_by,
    plot_recall_by,
    recall_by,
    weakest_bin,
)

DISTANCE, _, YEARS = aspects("metres")


def test_bins_include_their_upper_ends() -> None:
    distances = [0.0, 5.0, 5.1, 10.0, 25.0, 1000.0, 1001.0, float("inf")]
    bins = recall_by(pl.DataFrame({"nearest_distance": distances, "first_correct": 1}), DISTANCE)
    names = ("0 to 5 m", "5 to 10 m", "10 to 25 m", "25 to 50 m", "50 to 100 m", "100 to 1000 m", "over 1000 m")
    assert bins.select("label", "queries").rows() == list(zip(names, (2, 2, 1, 0, 0, 1, 2), strict=True))


def test_recall_by_distance_matches_counting() -> None:
    ranks, distances = [1, 1, 4, None, 9, 1, 1], [1.0, 4.0, 3.0, 7.0, 8.0, None, 20.0]
    outcomes = pl.DataFrame({"first_correct": ranks, "nearest_distance": distances})
    plot = plot_recall_by(outcomes, DISTANCE)
    assert plot is not None
    ticks = [label.get_text() for label in plot.figure.axes[0].get_xticklabels()]
    assert ticks == ["0-5\n3", "5-10\n2", "10-25\n1"]
    table = plot.data.select("label", "queries", "recall_1", "recall_5").rows()
    assert table == [
        ("0 to 5 m", 3, pytest.approx(200 / 3), 100.0),
        ("5 to 10 m", 2, 0.0, 0.0),
        ("10 to 25 m", 1, 100.0, 100.0),
    ]


def test_first_matches_by_years_and_none_if_years_are_unknown() -> None:
    outcomes = pl.DataFrame(
        {"state": ["correct", "incorrect", "unanswerable", "correct"], "match_years_apart": [0, 0, 3, None]}
    )
    plot = plot_matches_by(outcomes, YEARS)
    assert plot_matches_by(outcomes.with_columns(match_years_apart=None), YEARS) is None
    assert plot is not None
    assert plot.data.select("label", "correct", "incorrect").rows() == [
        ("same year", 1, 1),
        ("1 year", 0, 0),
        ("2 years", 0, 0),
        ("3 to 5 years", 0, 1),
    ]


def outcomes_by_years(*bins: tuple[int, int, int]) -> pl.DataFrame:
    """Return outcomes from the years apart, queries and correct queries of each bin."""
    rows = [(1 if number < correct else 2, years) for years, queries, correct in bins for number in range(queries)]
    unknown = {f"nearest_{name}": pl.lit(None, pl.Float64) for name in ("distance", "heading_difference")}
    return pl.DataFrame(rows, schema=["first_correct", "nearest_years_apart"], orient="row").with_columns(**unknown)


@pytest.mark.parametrize(
    ("bins", "sentence"),
    [
        (
            [(0, 100, 90), (4, 100, 50), (8, 19, 0)],
            "Fails most at 3 to 5 years from the nearest positive: R@1 is 50 % (100 queries), "
            "against 90 % at 0 years (100 queries).",
        ),
        (
            [(0, 100, 90), (1, 100, 50), (2, 100, 70), (4, 100, 40)],
            "Fails most at 3 to 5 years from the nearest positive: R@1 is 40 % (100 queries), "
            "against 90 % at 0 years (100 queries).",
        ),
        (
            [(0, 20, 10), (20, 20, 9)],
            "Fails most at over 10 years from the nearest positive: R@1 is 45 % (20 queries), "
            "against 50 % at 0 years (20 queries). "
            "The intervals overlap: this may be chance.",
        ),
        ([(0, 20, 5), (1, 20, 5)], "R@1 is the same in all bins of distance, heading and years that have 20 queries."),
        (
            [(0, 200, 5), (1, 19, 5)],
            "Fewer than two bins of distance, heading or years have 20 queries to compare.",
        ),
    ],
)
def test_weakest_bin(bins: list[tuple[int, int, int]], sentence: str) -> None:
    assert weakest_bin(outcomes_by_years(*bins), "metres") == sentence


def test_empty_bins_are_kept_and_few_bars_become_a_sentence() -> None:
    plot = plot_recall_by(outcomes_by_years((0, 3, 1), (4, 2, 2)), YEARS)
    assert plot is not None
    assert plot.data["queries"].to_list() == [3, 0, 0, 2]
    assert Charts([plot]).drawn == []
    assert Charts([plot]).sentences == [
        "R@1 by years apart of the nearest positive: 33.3 % (same year, 3 queries); 100.0 % (3 to 5 years, 2 queries)."
    ]
    more = plot_recall_by(outcomes_by_years((0, 3, 1), (1, 1, 1), (4, 2, 2)), YEARS)
    assert more is not None
    assert Charts([more]).drawn == [more]
