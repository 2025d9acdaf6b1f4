"""Breakdown of recalls by distance, heading difference and years between images.

Queries are binned in two ways: by the nearest positive in the database (how hard they are), and by the best match (how
far it can be trusted).
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
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Aspect:
    """A kind of difference between two images, in bins (low, high]; the first includes 0, the last has no end."""

    name: str
    ends: tuple[float, ...]
    labels: tuple[str, ...]  # one more than ends


def _aspect(name: str, unit: str, *ends: float) -> Aspect:
    ranges = zip((0.0, *ends), ends, strict=False)
    return Aspect(name, ends, (*(f"{low:g} to {high:g} {unit}" for low, high in ranges), f"over {ends[-1]:g} {unit}"))


DISTANCE = {
    METRES: _aspect("distance", "m", 5, 10, 25, 50, 100, 1000),
    FRAMES: _aspect("distance", "frames", 1, 2, 5, 10, 20, 100),
}
HEADING = _aspect("heading_difference", "degrees", 15, 30, 60, 90)
YEARS = Aspect(
    "years_apart",
    (0.0, 1.0, 2.0, 5.0, 10.0),
    ("same year", "1 year", "2 years", "3 to 5 years", "6 to 10 years", "over 10 years"),
)


@dataclass(frozen=True, eq=False)
class Differences:
    """Differences between each query and another image, [num_queries] per aspect; NaN where unknown."""

    distance: Floats
    heading_difference: Floats
    years_apart: Floats


def breakdown_table(
    test_set: str,
    unit: str,
    correct: Bools,
    answerable: Bools,
    nearest_positive: Differences,
    best_match: Differences,
    ks: tuple[int, ...],
) -> pl.DataFrame:
    """Return the table BREAKDOWN, with the bins that have queries.

    `correct` and `answerable` are those of `measure_recalls`; differences are those to the positive that is nearest in
    each aspect, and to the best match.
    """
    rows: list[dict[str, object]] = []
    for between, differences, has_image in (
        (NEAREST_POSITIVE, nearest_positive, answerable),
        (BEST_MATCH, best_match, np.ones_like(answerable)),
    ):
        for aspect in (DISTANCE[unit], HEADING, YEARS):
            values = np.abs(getattr(differences, aspect.name))
            for label, low, high, members in _bins(aspect, values, has_image):
                for k, recall in compute_recalls(correct[members], ks).items() if members.any() else ():
                    names = (test_set, aspect.name, between, label)
                    rows.append(
                        dict(
                            zip(
                                schemas.BREAKDOWN.names, (*names, low, high, k, int(members.sum()), recall), strict=True
                            )
                        )
                    )
    return make_frame(rows, schemas.BREAKDOWN)


def _bins(aspect: Aspect, values: Floats, has_image: Bools) -> Iterator[tuple[str, float | None, float | None, Bools]]:
    """Yield label, low end, high end and members [num_queries] of each bin."""
    numbers = np.where(has_image & ~np.isnan(values), np.searchsorted(aspect.ends, values), -1)
    for number, label in enumerate(aspect.labels):
        yield label, (0.0, *aspect.ends)[number], (*aspect.ends, np.inf)[number], numbers == number
    yield UNKNOWN, None, None, has_image & np.isnan(values)
    yield NO_POSITIVE, None, None, ~has_image


class Pairs:
    """Heading and year differences between rows of queries and database images; NaN where unknown."""

    def __init__(self, queries: pl.DataFrame, database: pl.DataFrame) -> None:
        self._headings, self._years = (
            [table[column].cast(pl.Float64).fill_null(np.nan).to_numpy() for table in (queries, database)]
            for column in ("heading", "year")
        )

    def heading_difference(self, queries: Rows | int, database: Rows) -> Floats:
        """Return the angles between headings, 0 to 180 degrees."""
        turned = np.abs(self._headings[0][queries] - self._headings[1][database]) % 360
        difference: Floats = np.minimum(turned, 360 - turned)
        return difference

    def years_apart(self, queries: Rows | int, database: Rows) -> Floats:
        """Return the years of the database images minus those of the queries."""
        years: Floats = self._years[1][database] - self._years[0][queries]
        return years


def nearest_positives(positives: list[Rows], queries: Positions, database: Positions, pairs: Pairs) -> Differences:
    """Return the least difference of each query to its positives, per aspect; NaN without one, or where unknown."""
    nearest = np.full((3, len(positives)), np.nan)
    for query, rows in enumerate(positives):
        distances = distances_m(queries, query, database, rows)
        aspects = distances, pairs.heading_difference(query, rows), np.abs(pairs.years_apart(query, rows))
        for aspect, values in enumerate(aspects):
            known = values[~np.isnan(values)]
            nearest[aspect, query] = known.min() if len(known) else np.nan
    return Differences(*nearest)
