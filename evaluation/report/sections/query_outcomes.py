"""The result of each query: its first correct match, how far off the first match is, and its nearest positive.

One row per query, in the order of the predictions:

| column | meaning |
|---|---|
| `query_path`, `utm_east`, `utm_north`, `utm_zone`, `utm_band`, `latitude`, `heading`, `year` | from its manifest |
| `answerable` | whether the database has a positive |
| `first_correct` | rank of the first correct match; null if no stored match is correct |
| `state` | `correct`: the first match is correct; `unanswerable`: there is no positive; else `incorrect` |
| `score`, `match_distance`, `match_heading_difference`, `match_years_apart` | similarity and differences of the match |
| `nearest_distance`, `nearest_heading_difference`, `nearest_years_apart` | the smallest difference of any positive |
| `example` | the positive with the most similar heading or, if headings are unknown, the nearest one |

Differences of headings are 0 to 180 degrees, those of years at least 0; null if unknown.
"""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from data_manifest.tables import read_table
from evaluation.metrics.breakdown import Pairs, nearest_positives
from evaluation.metrics.positives import Positions, distances_m, find_positives
from evaluation.report.charts.plot import Plot
from evaluation.report.find_inputs import EvaluatedSet
from evaluation.report.page.blocks import Charts, Heading
from evaluation.settings import POSITION_COLUMNS

CORRECT, INCORRECT, UNANSWERABLE = "correct", "incorrect", "unanswerable"  # in the tables of figures, so never renamed
STATES = (CORRECT, INCORRECT, UNANSWERABLE)
IMAGE_COLUMNS = ["path", *POSITION_COLUMNS, "pano_id", "heading", "year"]


def read_outcomes(test_set: EvaluatedSet, predictions: pl.DataFrame) -> pl.DataFrame:
    """Return the table that this module describes."""
    database, queries = (
        read_table(images.manifest.folder, "manifest", IMAGE_COLUMNS)
        for images in (test_set.database, test_set.queries)
    )
    asked = predictions.select("query_path").unique(maintain_order=True)
    queries = asked.join(queries, left_on="query_path", right_on="path", how="left", maintain_order="left")
    first_correct = predictions.filter("correct").group_by("query_path").agg(first_correct=pl.col("rank").min())
    first_match = predictions.filter(pl.col("rank") == 1).select(
        "query_path", "score", pl.col("distance_m").alias("match_distance"), pl.col("database_path").alias("path")
    )
    rows = database.with_row_index("row").select("path", "row")
    first_match = first_match.join(rows, on="path", how="left").join(first_correct, on="query_path", how="left")
    found = queries.join(first_match, on="query_path", how="left", maintain_order="left")
    pairs = Pairs(queries, database)
    every_query, matched = np.arange(len(queries)), found["row"].to_numpy().astype(np.int64)
    differences = {
        "match_heading_difference": pairs.heading_difference(every_query, matched),
        "match_years_apart": np.abs(pairs.years_apart(every_query, matched)),
    }
    answerable = pl.col("answerable") | pl.col("first_correct").is_not_null()
    state = pl.when(pl.col("first_correct") == 1).then(pl.lit(CORRECT)).when(answerable).then(pl.lit(INCORRECT))
    return (
        found.drop("path", "row")
        .hstack(_find_nearest(test_set, database, queries, pairs))
        .with_columns(answerable, state.otherwise(pl.lit(UNANSWERABLE)).alias("state"))
        .with_columns(pl.Series(name, values).fill_nan(None) for name, values in differences.items())
    )


def _find_nearest(test_set: EvaluatedSet, database: pl.DataFrame, queries: pl.DataFrame, pairs: Pairs) -> pl.DataFrame:
    """Return `answerable`, the smallest differences of the positives, and `example`, one row per query."""
    database_positions, query_positions = (Positions.from_manifest(each, test_set.unit) for each in (database, queries))
    positives = find_positives(database_positions, query_positions, test_set.threshold)
    nearest = nearest_positives(positives, query_positions, database_positions, pairs)
    examples: list[str | None] = []
    for query, rows in enumerate(positives):
        headings = np.nan_to_num(pairs.heading_difference(query, rows), nan=np.inf)
        order = np.lexsort([distances_m(query_positions, query, database_positions, rows), headings])
        examples.append(database["path"][int(rows[order[0]])] if len(rows) else None)
    return pl.DataFrame(
        {
            "answerable": [len(rows) > 0 for rows in positives],
            **{f"nearest_{name}": pl.Series(values).fill_nan(None) for name, values in vars(nearest).items()},
            "example": pl.Series(examples, dtype=pl.String),
        }
    )


def worst_first(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Return the outcomes sorted: late or missing correct matches first, confident mistakes before doubtful ones.

    Queries without a positive come after all mistakes, since the model cannot answer them.
    """
    order = pl.col("state").replace_strict({INCORRECT: 0, UNANSWERABLE: 1, CORRECT: 2}, return_dtype=pl.Int8)
    rank = pl.col("first_correct").fill_null(np.iinfo(np.int32).max).cast(pl.Int64)
    score = pl.when(pl.col("state") == CORRECT).then("score").otherwise(-pl.col("score"))
    return outcomes.sort(order, -rank, score, "query_path", maintain_order=True)


def count_states(outcomes: pl.DataFrame) -> dict[str, int]:
    """Return the number of queries per state."""
    return {state: int((outcomes["state"] == state).sum()) for state in STATES}


@dataclass(frozen=True, eq=False)
class SetResult:
    """The tables of an evaluation and the outcome of each query.

    `suffix` is unique to it and ends the names of its charts; empty if the report has one test set. `untrained` is the
    table of recalls of the untrained network, if it was evaluated too.
    """

    test_set: EvaluatedSet
    recalls: pl.DataFrame
    predictions: pl.DataFrame
    outcomes: pl.DataFrame
    suffix: str = ""
    untrained: pl.DataFrame | None = None

    def heading(self) -> list[Heading]:
        """Return the heading of its part of a section; empty if the report has one test set."""
        return [Heading(self.test_set.title)] if self.suffix else []

    def charts(self, plots: Sequence[Plot | None], heading: str = "", lead: str = "") -> Charts:
        """Return a block of the plots that are not None, under names unique to this test set."""
        named = [dataclasses.replace(plot, name=plot.name + self.suffix) for plot in plots if plot]
        return Charts(named, heading, lead, nested=bool(self.suffix))


def read_results(test_sets: Sequence[EvaluatedSet]) -> list[SetResult]:
    """Read the result on each test set."""
    names = [re.sub(r"\W+", "_", each.name) for each in test_sets]
    suffixes = [f"-{name}" if names.count(name) == 1 else f"-{name}_{i}" for i, name in enumerate(names, start=1)]
    return [
        read_result(each, suffix if len(test_sets) > 1 else "")
        for each, suffix in zip(test_sets, suffixes, strict=True)
    ]


def read_result(test_set: EvaluatedSet, suffix: str = "") -> SetResult:
    """Read the tables of an evaluation and find the outcome of each query."""
    recalls, predictions = (read_table(test_set.evaluation.folder, name) for name in ("recalls", "predictions"))
    untrained = read_table(test_set.untrained.folder, "recalls") if test_set.untrained else None
    return SetResult(test_set, recalls, predictions, read_outcomes(test_set, predictions), suffix, untrained)
