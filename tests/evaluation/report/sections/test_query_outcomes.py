"""Outcomes of queries that are known by hand."""

import polars as pl
import pytest

from data_manifest.tables import read_table
from evaluation.report.find_inputs import find_inputs
from evaluation.report.sections.query_outcomes import (
    CORRECT,
    INCORRECT,
    UNANSWERABLE,
    count_states,
    read_outcomes,
    worst_first,
)
from tests.evaluation.report.conftest import Town

DIFFERENCES = ("distance", "heading_difference", "years_apart")


@pytest.fixture(scope="module")
def outcomes(town: Town) -> pl.DataFrame:
    (tested,) = find_inputs(town.evaluation, town.artifacts).test_sets
    return read_outcomes(tested, read_table(town.evaluation, "predictions"))


def test_states(outcomes: pl.DataFrame) -> None:
    assert count_states(outcomes) == {CORRECT: 4, INCORRECT: 4, UNANSWERABLE: 1}
    assert set(outcomes.filter(pl.col("utm_east") == 545002.0)["first_correct"]) == {1}
    assert set(outcomes.filter(pl.col("utm_east") == 545043.0)["first_correct"]) == {5}
    assert set(outcomes.filter(pl.col("utm_east") == 550000.0)["first_correct"]) == {None}


def test_differences_of_matches_and_positives(outcomes: pl.DataFrame) -> None:
    first, second, far = (outcomes.filter(pl.col("utm_east") == 545000.0 + east) for east in (2.0, 43.0, 5000.0))
    assert set(first["match_distance"]) == {2.0}
    assert set(first["match_heading_difference"]) == {0.0}, "equally near images are ordered by heading"
    assert set(first["match_years_apart"]) == {5}
    assert set(second["match_distance"]) == {43.0}
    assert set(second["nearest_distance"]) == {3.0}
    assert set(second["nearest_years_apart"]) == {6.0}
    for name in (
        "match_heading_difference",
        "nearest_distance",
        "nearest_heading_difference",
        "nearest_years_apart",
        "example",
    ):
        assert far[name].to_list() == [None], name


def test_example_has_the_heading_of_the_query(outcomes: pl.DataFrame) -> None:
    for query in outcomes.filter("answerable").iter_rows(named=True):
        assert f"@@{query['heading']:.0f}@@" in query["example"]


def test_worst_first_starts_with_confident_mistakes() -> None:
    rows = [
        ("correct, sure", CORRECT, 1, 0.9),
        ("correct, doubtful", CORRECT, 1, 0.5),
        ("late", INCORRECT, 3, 0.9),
        ("later", INCORRECT, 7, 0.9),
        ("never, sure", INCORRECT, None, 0.9),
        ("never, doubtful", INCORRECT, None, 0.5),
        ("no positive", UNANSWERABLE, None, 0.99),
    ]
    outcomes = pl.DataFrame(rows, schema=["query_path", "state", "first_correct", "score"], orient="row")
    order = ["never, sure", "never, doubtful", "later", "late", "no positive", "correct, doubtful", "correct, sure"]
    assert worst_first(outcomes.reverse())["query_path"].to_list() == order
