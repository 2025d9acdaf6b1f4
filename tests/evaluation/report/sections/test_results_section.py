"""The section on the results, with and without the optional columns of the recalls."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from evaluation.report.find_inputs import find_inputs
from evaluation.report.page.blocks import Charts, Note, Table
from evaluation.report.sections.query_outcomes import SetResult, read_result
from evaluation.report.sections.results_section import (
    count_queries,
    plot_curve,
    plot_errors,
    results_section,
    table_of_recalls,
)
from tests.evaluation.report.conftest import Town

WARNING = "9 queries, published with 1,000"


@pytest.fixture
def plain(town: Town) -> SetResult:
    (tested,) = find_inputs(town.evaluation, town.artifacts).test_sets
    return read_result(tested)


@pytest.fixture
def rich(plain: SetResult) -> SetResult:
    recalls = plain.recalls.select("test_set", "k", "recall", "queries", "queries_without_positive", "database_images")
    more = recalls.with_columns(
        interval_low=pl.col("recall") - 10,
        interval_high=pl.col("recall") + 5,
        recall_answerable=pl.col("recall") + 1,
        published_recall=pl.when(pl.col("k") == 1).then(76.7),
        published_source=pl.when(pl.col("k") == 1).then(pl.lit("the EigenPlaces paper")),
        count_warning=pl.lit(WARNING),
    )
    untrained = recalls.with_columns(recall=pl.when(pl.col("k") == 1).then(100 / 9).otherwise("recall"))
    return dataclasses.replace(plain, recalls=more, untrained=untrained)


def test_table_of_recalls_without_optional_columns(plain: SetResult) -> None:
    bare = plain.recalls.select("test_set", "k", "recall", "queries", "queries_without_positive", "database_images")
    table = table_of_recalls([dataclasses.replace(plain, recalls=bare)])
    assert (table.head, table.rows) == (["", "R@1", "R@5"], [["town, test queries v1", "44.4", "88.9"]])


def test_table_of_recalls_with_intervals_and_published_recalls(rich: SetResult) -> None:
    assert table_of_recalls([rich]).rows == [
        ["town, test queries v1", "44.4", "88.9"],
        ["95 % interval", "34.4 to 49.4", "78.9 to 93.9"],
        ["of the answerable queries", "45.4", "89.9"],
        ["untrained network", "11.1", "88.9"],
        ["published in the EigenPlaces paper", "76.7", ""],
    ]


def test_sets_with_different_k_share_one_table(rich: SetResult) -> None:
    other = dataclasses.replace(rich, recalls=rich.recalls.with_columns(k=pl.col("k") * 2))
    table = table_of_recalls([rich, other])
    assert table.head == ["", "R@1", "R@2", "R@5", "R@10"]
    assert [len(row) for row in table.rows] == [5] * 10
    assert table.strong == [0, 5]


def test_warnings_on_numbers_of_images_come_first(rich: SetResult) -> None:
    section = results_section([rich])
    assert section.blocks[0] == Note(f"town-test-queries_v1: {WARNING}", warning=True)
    assert isinstance(section.blocks[1], Table)
    assert [len(block.plots) for block in section.blocks if isinstance(block, Charts)] == [2, 3, 2]


def test_curve_shows_the_recall_of_a_perfect_model(rich: SetResult) -> None:
    plot = plot_curve(rich)
    assert "answerable: 88.9" in plot.svg()
    assert plot.data["recall"].is_sorted()


def test_count_queries_mentions_queries_without_a_positive(plain: SetResult) -> None:
    assert count_queries(plain).endswith(
        "1 query has no positive in the database (counted as incorrect, as in the literature)."
    )
    none = dataclasses.replace(plain, outcomes=plain.outcomes.filter(pl.col("state") != "unanswerable"))
    assert count_queries(none) == "9 queries and 12 database images."


def test_localisation_errors_match_counting(plain: SetResult) -> None:
    distances = [0.4, 0.5, 10.0, 24.0, 25.0, 26.0, 400.0, float("inf")]
    outcomes = pl.DataFrame({"match_distance": distances})
    plot = plot_errors(dataclasses.replace(plain, outcomes=outcomes))
    assert plot.note == (
        "First matches: 37.5 % within 10 metres, 62.5 % within 25 metres. The median error is 24.5 m. "
        "The axis starts at 1: 25 % of the errors are smaller. 1 first match is in another UTM zone."
    )
    assert plot.data["percent"].to_list() == [100 * number / 8 for number in range(1, 8)]
    line = plot.figure.axes[0].lines[0].get_xydata()
    assert (np.asarray(line)[0] == (1.0, 25.0)).all(), "the smaller errors are at the start of the axis"
