"""Measure the matches of a search: recalls, predictions and breakdown."""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from data_manifest import schemas
from data_manifest.progress import working
from data_manifest.tables import make_frame
from evaluation.metrics.breakdown import Differences, Floats, Pairs, breakdown_table, nearest_positives
from evaluation.metrics.certainty import certainties, certainty_table
from evaluation.metrics.positives import Positions, distances_m, find_positives
from evaluation.metrics.recalls import Recall, compute_recalls, measure_recalls
from evaluation.search.find_matches import Matches
from evaluation.settings import RECALL_VALUES, Threshold

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Recalls with intervals, the tables PREDICTIONS, BREAKDOWN and CERTAINTY, and the counts behind them.

    `index_losses` are the points of R@k that an approximate index loses against exact search, by k. Without ground
    truth, `measured` has no percentages, and the number of queries without a positive is None.
    """

    measured: list[Recall]
    num_queries: int
    num_queries_without_positive: int | None
    num_database: int
    threshold: Threshold
    predictions: pl.DataFrame
    breakdown: pl.DataFrame
    certainty: pl.DataFrame
    index_losses: dict[int, float]

    @property
    def recalls(self) -> dict[int, float]:
        """R@k in percent, by k; empty without ground truth."""
        return {recall.k: recall.percent for recall in self.measured if recall.percent is not None}

    def __str__(self) -> str:
        if not self.recalls:
            counts = f"{self.num_queries} queries, {self.num_database} database images"
            return f"no recalls, because the test set has no ground truth; {counts}"
        recalls = ", ".join(f"R@{k} {recall:.1f}" for k, recall in self.recalls.items())
        return (
            f"{recalls}, {self.num_queries} queries, {self.num_queries_without_positive} without a positive, "
            f"{self.num_database} database images"
        )


@working("measuring the recalls")
def evaluate_matches(
    test_set: str,
    database: pl.DataFrame,
    queries: pl.DataFrame,
    matches: Matches,
    threshold: Threshold,
    ks: tuple[int, ...] = RECALL_VALUES,
) -> Evaluation:
    """Return the evaluation of matches; `database` and `queries` are images as `ImageList.read` returns them."""
    positions = Positions.from_manifest(database, threshold.unit)
    query_positions = Positions.from_manifest(queries, threshold.unit)
    positives = find_positives(positions, query_positions, threshold.value)
    answerable = np.array([len(rows) > 0 for rows in positives])
    if not answerable.any():
        logger.warning(
            "None of the %d queries has a database image within %s, so every recall is 0. "
            "Check that both lists show the same place, and --positive-dist-threshold",
            len(answerable),
            threshold,
        )
    rows = np.arange(len(matches.rows))[:, None]
    distances = distances_m(query_positions, rows, positions, matches.rows)
    correct = distances <= threshold.value
    pairs = Pairs(queries, database)
    differences = Differences(
        distances, pairs.heading_difference(rows, matches.rows), pairs.years_apart(rows, matches.rows)
    )
    best = Differences(*(each[:, 0] for each in vars(differences).values()))
    nearest = nearest_positives(positives, query_positions, positions, pairs)
    index_losses = {}
    if matches.compared is not None and matches.exact is not None:
        exact = distances_m(query_positions, matches.compared[:, None], positions, matches.exact) <= threshold.value
        recalls = compute_recalls(correct[matches.compared], ks)
        index_losses = {k: recall - recalls[k] for k, recall in compute_recalls(exact, ks).items()}
    return Evaluation(
        measured=measure_recalls(correct, answerable, ks),
        num_queries=len(queries),
        num_queries_without_positive=int((~answerable).sum()),
        num_database=len(database),
        threshold=threshold,
        predictions=predictions_table(queries["path"], database["path"], matches, differences, correct),
        breakdown=breakdown_table(test_set, threshold.unit, correct, answerable, nearest, best, ks),
        certainty=certainty_table(
            queries["path"], certainties(matches.rows, matches.scores, positions, threshold.value), correct[:, 0]
        ),
        index_losses=index_losses,
    )


def unmeasured(
    database: pl.DataFrame,
    queries: pl.DataFrame,
    matches: Matches,
    threshold: Threshold,
    ks: tuple[int, ...] = RECALL_VALUES,
) -> Evaluation:
    """Return matches as an evaluation without recalls, for a test set without ground truth."""
    unknown = np.full(matches.rows.shape, np.nan)
    return Evaluation(
        measured=[Recall(k, None, None, None, None) for k in ks],
        num_queries=len(queries),
        num_queries_without_positive=None,
        num_database=len(database),
        threshold=threshold,
        predictions=predictions_table(
            queries["path"], database["path"], matches, Differences(unknown, unknown, unknown), None
        ),
        breakdown=make_frame([], schemas.BREAKDOWN),
        certainty=make_frame([], schemas.CERTAINTY),
        index_losses={},
    )


def predictions_table(
    queries: pl.Series,
    database: pl.Series,
    matches: Matches,
    differences: Differences,
    correct: npt.NDArray[np.bool_] | None,
) -> pl.DataFrame:
    """Return the table PREDICTIONS; `differences` and `correct` are [num_queries, k], other arguments are paths.

    Without ground truth, `correct` is None and differences are NaN.
    """

    def nullable(values: Floats) -> pl.Series:
        return pl.Series(values.ravel()).fill_nan(None)

    num_queries, num_matches = matches.rows.shape
    unknown = pl.repeat(None, matches.rows.size, dtype=pl.Boolean, eager=True)
    return pl.DataFrame(
        {
            "query_path": queries.gather(np.repeat(np.arange(num_queries), num_matches)),
            "rank": np.tile(np.arange(1, num_matches + 1, dtype=np.int32), num_queries),
            "database_path": database.gather(matches.rows.ravel()),
            "score": matches.scores.ravel(),
            "distance_m": nullable(differences.distance),
            "correct": unknown if correct is None else correct.ravel(),
            "heading_difference": nullable(differences.heading_difference),
            "years_apart": nullable(differences.years_apart).cast(pl.Int16),
        }
    )
