"""Where a model is right: recall by distance, by difference of headings and by years, as far as these are known.

Queries are sorted in two ways: by what the database offers, which is the positive nearest in the aspect (the recall
says how hard such queries are), and by the best match that was found (the recall says how far it can be trusted).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from data_manifest import schemas
from data_manifest.tables import make_frame
from evaluation.metrics.positives import Positions, distances_m
from evaluation.metrics.recalls import compute_recalls
from evaluation.settings import FRAMES, METRES

NEAREST_POSITIVE, BEST_MATCH = "query and nearest positive", "query and best match"
NO_POSITIVE, UNKNOWN = "no positive", "unknown"
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Aspect:
    """How far two images are apart in one respect; a bin's values lie above its low end and up to its high end."""

    name: str
    ends: tuple[float, ...]
    labels: tuple[str, ...]  # one more than ends: the last bin is open

    def bins(self) -> Iterator[tuple[float, float, str]]:
        """Give the low end, the high end and the name of each bin."""
        yield from zip((0.0, *self.ends), (*self.ends, np.inf), self.labels, strict=True)


def _measured(name: str, unit: str, *ends: float) -> Aspect:
    ranges = zip((0.0, *ends), ends, strict=False)
    return Aspect(name, ends, (*(f"{low:g} to {high:g} {unit}" for low, high in ranges), f"over {ends[-1]:g} {unit}"))


DISTANCE = {
    METRES: _measured("distance", "m", 5, 10, 25, 50, 100, 1000),
    FRAMES: _measured("distance", "frames", 1, 2, 5, 10, 20, 100),
}
HEADING = _measured("heading_difference", "degrees", 15, 30, 60, 90)
YEARS = Aspect(
    "years_apart",
    (0.0, 1.0, 2.0, 5.0, 10.0),
    ("same year", "1 year", "2 years", "3 to 5 years", "6 to 10 years", "over 10 years"),
)


@dataclass(frozen=True, eq=False)
class Apart:
    """How far the queries are from something, in each aspect [num_queries]; NaN where that is not known."""

    distance: Floats
    heading_difference: Floats
    years_apart: Floats


def breakdown_table(
    test_set: str,
    unit: str,
    correct: npt.NDArray[np.bool_],
    answerable: npt.NDArray[np.bool_],
    nearest_positive: Apart,
    best_match: Apart,
    values: tuple[int, ...],
) -> pl.DataFrame:
    """Return the table BREAKDOWN: in each aspect, the bins that have queries.

    Args:
        test_set: Its name.
        unit: Of the distances, metres or frames.
        correct: [num_queries, num_matches]: whether a match is a positive.
        answerable: [num_queries]: whether the query has a positive.
        nearest_positive: How far the positive is that is nearest in each aspect.
        best_match: How far the best match is.
        values: Each k of which the recall is wanted.
    """
    rows: list[dict[str, object]] = []
    for between, apart, has_any in (
        (NEAREST_POSITIVE, nearest_positive, answerable),
        (BEST_MATCH, best_match, np.ones_like(answerable)),
    ):
        for aspect in (DISTANCE[unit], HEADING, YEARS):
            distances = np.abs(getattr(apart, aspect.name))
            for label, low, high, members in _bins(aspect, distances, has_any):
                for k, recall in compute_recalls(correct[members], values).items() if members.any() else ():
                    facts = {"label": label, "low": low, "high": high, "k": k, "queries": int(members.sum())}
                    about = {"test_set": test_set, "aspect": aspect.name, "between": between}
                    rows.append({**about, **facts, "recall": recall})
    return make_frame(rows, schemas.BREAKDOWN)


def _bins(
    aspect: Aspect, distances: Floats, has_any: npt.NDArray[np.bool_]
) -> Iterator[tuple[str, float | None, float | None, npt.NDArray[np.bool_]]]:
    known = has_any & ~np.isnan(distances)
    for number, (low, high, label) in enumerate(aspect.bins()):
        above = distances >= low if number == 0 else distances > low
        yield label, low, high, known & above & (distances <= high)
    yield UNKNOWN, None, None, has_any & np.isnan(distances)
    yield NO_POSITIVE, None, None, ~has_any


def heading_differences(left: Floats, right: Floats) -> Floats:
    """Return how far headings in degrees are apart, 0 to 180; NaN where one is not known."""
    turned = np.abs(left - right) % 360
    difference: Floats = np.minimum(turned, 360 - turned)
    return difference


class Pairs:
    """How headings and years of queries and database images differ, row by row; NaN where one is not known."""

    def __init__(self, queries: pl.DataFrame, database: pl.DataFrame) -> None:
        self._headings, self._years = (
            [table[column].cast(pl.Float64).fill_null(np.nan).to_numpy() for table in (queries, database)]
            for column in ("heading", "year")
        )

    def heading_difference(self, queries: Rows | int, database: Rows) -> Floats:
        """Return degrees, 0 to 180."""
        return heading_differences(self._headings[0][queries], self._headings[1][database])

    def years_apart(self, queries: Rows | int, database: Rows) -> Floats:
        """Return the year of the database image less that of the query."""
        years: Floats = self._years[1][database] - self._years[0][queries]
        return years


def nearest_positives(positives: list[Rows], queries: Positions, database: Positions, apart: Pairs) -> Apart:
    """Return how far the nearest positive of each query is, in each aspect; NaN without one, or where not known."""
    nearest = np.full((3, len(positives)), np.nan)
    for query, rows in enumerate(positives):
        distances = distances_m(queries, query, database, rows)
        every = distances, apart.heading_difference(query, rows), np.abs(apart.years_apart(query, rows))
        for aspect, values in enumerate(every):
            known = values[~np.isnan(values)]
            nearest[aspect, query] = known.min() if len(known) else np.nan
    return Apart(*nearest)
