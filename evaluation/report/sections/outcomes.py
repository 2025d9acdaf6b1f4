"""What became of each query: where a positive was found, how far off the first match is, and what could be found.

A row a query, in the order of the predictions:

| column | meaning |
|---|---|
| `query_path`, `utm_east`, `utm_north`, `utm_zone`, `utm_band`, `latitude`, `heading`, `year` | as in its manifest |
| `answerable` | the database has a positive |
| `first_right` | rank of its first right match; null if none of those stored is right |
| `state` | right: the first match is; unanswerable: there is no positive; else wrong |
| `score`, `match_distance`, `match_heading`, `match_years` | of the first match: similarity; how far it is apart |
| `nearest_distance`, `nearest_heading`, `nearest_years` | the least of these that any positive has |
| `example` | a positive to show: the one that looks the same way or, if headings are unknown, the nearest |

Differences of headings are from 0 to 180 degrees, and those of years from 0 up; null where one is not known.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from data_manifest.tables import read_table
from evaluation.metrics.breakdown import Pairs, Rows, nearest_positives
from evaluation.metrics.positives import POSITION_COLUMNS, Positions, distances_m, find_positives
from evaluation.report.sources import Tested
from evaluation.settings import Threshold

RIGHT, WRONG, UNANSWERABLE = "right", "wrong", "unanswerable"
STATES = (RIGHT, WRONG, UNANSWERABLE)
ABOUT_IMAGES = ["path", *POSITION_COLUMNS, "pano_id", "heading", "year"]
Numbers = npt.NDArray[np.float64]


def read_outcomes(tested: Tested, predictions: pl.DataFrame) -> pl.DataFrame:
    """Return the table that this module describes."""
    database, queries = (
        read_table(each.manifest.folder, "manifest", ABOUT_IMAGES) for each in (tested.database, tested.queries)
    )
    asked = predictions.select("query_path").unique(maintain_order=True)
    queries = asked.join(queries, left_on="query_path", right_on="path", how="left", maintain_order="left")
    first = _first_matches(predictions, database)
    threshold = Threshold(tested.evaluation.settings["positive_dist_threshold"], tested.unit)
    offered = _positives(database, queries, threshold)
    found = queries.join(first, on="query_path", how="left", maintain_order="left").hstack(offered)
    answerable = pl.col("answerable") | pl.col("first_right").is_not_null()
    state = pl.when(pl.col("first_right") == 1).then(pl.lit(RIGHT)).when(answerable).then(pl.lit(WRONG))
    apart = [
        heading_apart(pl.col("heading"), pl.col("heading_of_match")).alias("match_heading"),
        (pl.col("year") - pl.col("year_of_match")).abs().alias("match_years"),
    ]
    return found.with_columns(answerable, state.otherwise(pl.lit(UNANSWERABLE)).alias("state"), *apart).drop(
        "heading_of_match", "year_of_match"
    )


def _first_matches(predictions: pl.DataFrame, database: pl.DataFrame) -> pl.DataFrame:
    """Return of each query the rank of its first right match, and its first match with heading and year."""
    right = predictions.filter("correct").group_by("query_path").agg(first_right=pl.col("rank").min())
    first = predictions.filter(pl.col("rank") == 1).select(
        "query_path", "score", pl.col("distance_m").alias("match_distance"), pl.col("database_path").alias("path")
    )
    about = database.select("path", heading_of_match="heading", year_of_match="year")
    return first.join(about, on="path", how="left").drop("path").join(right, on="query_path", how="left")


def heading_apart(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    """Return how far two headings are apart, 0 to 180 degrees."""
    turned = (one - other).abs() % 360
    return pl.min_horizontal(turned, 360 - turned)


def _positives(database: pl.DataFrame, queries: pl.DataFrame, threshold: Threshold) -> pl.DataFrame:
    """Return of each query whether it has positives, the least that they are apart from it, and one to show."""
    places, asked = (Positions.from_manifest(each, threshold.unit) for each in (database, queries))
    positives, pairs = find_positives(places, asked, threshold.value), Pairs(queries, database)
    nearest = nearest_positives(positives, asked, places, pairs)

    def example(query: int, rows: Rows) -> str | None:
        if not len(rows):
            return None
        nearby = _best(pairs.heading_difference(query, rows), distances_m(asked, query, places, rows))
        return str(database["path"][int(rows[nearby])])

    found = {
        "nearest_distance": nearest.distance,
        "nearest_heading": nearest.heading_difference,
        "nearest_years": nearest.years_apart,
    }
    return pl.DataFrame(
        {
            "answerable": [len(rows) > 0 for rows in positives],
            **{name: pl.Series(values).fill_nan(None) for name, values in found.items()},
            "example": pl.Series(list(map(example, range(len(positives)), positives)), dtype=pl.String),
        }
    )


def _best(*keys: Numbers) -> int:
    """Return the row with the least first key; among equals, and where it is not known, with the least second one."""
    return int(np.lexsort([np.nan_to_num(key, nan=np.inf) for key in reversed(keys)])[0])


def worst_first(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Return the outcomes with the worst first: found late or never, the surest mistake before the doubtful one.

    A query without a positive is no mistake of the model: these come after all mistakes.
    """
    order = pl.col("state").replace_strict({WRONG: 0, UNANSWERABLE: 1, RIGHT: 2}, return_dtype=pl.Int8)
    late = pl.col("first_right").fill_null(np.iinfo(np.int32).max)
    surest = pl.when(pl.col("state") == RIGHT).then("score").otherwise(-pl.col("score"))
    return outcomes.sort(order, -late.cast(pl.Int64), surest, "query_path", maintain_order=True)


def count_states(outcomes: pl.DataFrame) -> dict[str, int]:
    """Return the number of queries in each state."""
    return {state: int((outcomes["state"] == state).sum()) for state in STATES}
