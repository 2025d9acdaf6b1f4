"""The section on the results, with and without the optional columns of the recalls."""

import dataclasses

import polars as pl
import pytest

from evaluation.report.find_inputs import find_inputs
from evaluation.report.page.blocks import Charts, Note, Table
from evaluation.report.sections.query_outcomes import SetResult, read_result
from evaluation.report.sections.results_section import count_queries, plot_curve, results_section, table_of_recalls
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
    return dataclasses.replace(plain, recalls=more)


def test_table_of_recalls_without_optional_columns(plain: SetResult) -> None:
    bare = plain.recalls.select("test_set", "k", "recall", "queries", "queries_without_positive", "database_images")
    table = table_of_recalls([dataclasses.replace(plain, recalls=bare)])
    assert (table.head, table.rows) == (["", "R@1", "R@5"], [["town-test-queries_v1", "44.4", "88.9"]])


def test_table_of_recalls_with_intervals_and_published_recalls(rich: SetResult) -> None:
    assert table_of_recalls([rich]).rows == [
        ["town-test-queries_v1", "44.4", "88.9"],
        ["95 % interval", "34.4 to 49.4", "78.9 to 93.9"],
        ["of the answerable queries", "45.4", "89.9"],
        ["published in the EigenPlaces paper", "76.7", ""],
    ]


def test_sets_with_different_k_share_one_table(rich: SetResult) -> None:
    other = dataclasses.replace(rich, recalls=rich.recalls.with_columns(k=pl.col("k") * 2))
    table = table_of_recalls([rich, other])
    assert table.head == ["", "R@1", "R@2", "R@5", "R@10"]
    assert [len(row) for row in table.rows] == [5] * 8
    assert table.strong == [0, 4]


def test_warnings_on_numbers_of_images_come_first(rich: SetResult) -> None:
    section = results_section([rich])
    assert section.blocks[0] == Note(f"town-test-queries_v1: {WARNING}", warning=True)
    assert isinstance(section.blocks[1], Table)
    assert [len(block.plots) for block in section.blocks if isinstance(block, Charts)] == [2, 3, 3]


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
