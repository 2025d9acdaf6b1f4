"""All figures of an evaluation, once more: query by query, in plain Python, and the intervals from the distribution."""

import itertools
import math
from collections import defaultdict

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from evaluation.evaluate_network import evaluate_matches
from evaluation.search.find_matches import Matches
from evaluation.settings import Threshold

KS, QUERIES, DATABASE = (1, 5), 120, 90
Row = dict[str, object]


def images(count: int, seed: int) -> pl.DataFrame:
    """Images on a grid of 10 metres, some far away; of a third each, heading or year are not known."""
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        east, north = (10.0 * generator.integers(0, 16, 2)).tolist()
        heading, year = generator.integers(0, 360) if generator.random() < 2 / 3 else None, None
        if generator.random() < 2 / 3:
            year = int(generator.integers(2006, 2022))
        place: Row = {
            "utm_east": 5e5 + east,
            "utm_north": 4e6 + north,
            "utm_zone": int(generator.choice([10, 10, 10, 11])),
        }
        rows.append(
            {"path": f"{number}.jpg", **place, "utm_band": "S", "latitude": None, "heading": heading, "year": year}
        )
    return pl.DataFrame(
        rows, schema_overrides={"heading": pl.Float64, "latitude": pl.Float64}, infer_schema_length=None
    )


def distance(query: Row, image: Row) -> float:
    if query["utm_zone"] != image["utm_zone"]:
        return math.inf
    return math.dist(*((float(each["utm_east"]), float(each["utm_north"])) for each in (query, image)))  # type: ignore[arg-type]


def turned(query: Row, image: Row) -> float | None:
    left, right = query["heading"], image["heading"]
    if left is None or right is None:
        return None
    return math.degrees(math.acos(round(math.cos(math.radians(float(left) - float(right))), 12)))  # type: ignore[arg-type]


def years(query: Row, image: Row) -> float | None:
    left, right = query["year"], image["year"]
    return None if left is None or right is None else abs(int(left) - int(right))  # type: ignore[call-overload]


def label(aspect: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    if aspect == "years_apart":
        named = {0: "same year", 1: "1 year", 2: "2 years"}
        return named.get(int(value)) or (
            "3 to 5 years" if value <= 5 else "6 to 10 years" if value <= 10 else "over 10 years"
        )
    ends, unit = ([0, 5, 10, 25, 50, 100, 1000], "m") if aspect == "distance" else ([0, 15, 30, 60, 90], "degrees")
    for low, high in itertools.pairwise(ends):
        if round(value, 6) <= high:
            return f"{low} to {high} {unit}"
    return f"over {ends[-1]} {unit}"


def test_recalls_intervals_answerable_queries_and_breakdown() -> None:
    queries, database = images(QUERIES, 0), images(DATABASE, 1)
    generator = np.random.default_rng(2)
    matches = np.stack([generator.permutation(DATABASE)[: max(KS)] for _ in range(QUERIES)])
    described = [generator.standard_normal((count, 4)).astype(np.float32) for count in (DATABASE, QUERIES)]
    found = evaluate_matches(
        "city", (database, described[0]), (queries, described[1]), Matches(matches), Threshold(25.0), KS
    )

    hits: dict[tuple[str, ...], list[list[bool]]] = defaultdict(list)
    every, answerable = [], []
    for query, rows in zip(queries.to_dicts(), matches.tolist(), strict=True):
        best = [database.row(row, named=True) for row in rows]
        right = [distance(query, image) <= 25 for image in best]
        hit = [any(right[:k]) for k in KS]
        positives = [image for image in database.to_dicts() if distance(query, image) <= 25]
        every.append(hit)
        answerable += [hit] if positives else []
        for aspect, apart in (("distance", distance), ("heading_difference", turned), ("years_apart", years)):
            hits[aspect, "query and best match", label(aspect, apart(query, best[0]))].append(hit)
            known = [value for image in positives if (value := apart(query, image)) is not None]
            nearest = label(aspect, min(known, default=None)) if positives else "no positive"
            hits[aspect, "query and nearest positive", nearest].append(hit)

    assert 0 < len(answerable) < QUERIES == found.num_queries
    assert found.num_queries_without_positive == QUERIES - len(answerable)
    for number, recall in enumerate(found.measured):
        share = sum(hit[number] for hit in every) / QUERIES
        low, high = (float(binom.ppf(end, QUERIES, share)) / QUERIES for end in (0.025, 0.975))
        assert 0 < share < 1
        assert recall.k == KS[number]
        assert recall.percent == pytest.approx(100 * share)
        assert (recall.low, recall.high) == pytest.approx((100 * low, 100 * high), abs=100 / QUERIES)
        assert recall.answerable == pytest.approx(100 * sum(hit[number] for hit in answerable) / len(answerable))
    expected = {
        (*names, k): (len(some), pytest.approx(100 * sum(hit[number] for hit in some) / len(some)))
        for names, some in hits.items()
        for number, k in enumerate(KS)
    }
    shown = found.breakdown.select("aspect", "between", "label", "k", "queries", "recall").rows()
    assert {tuple(row[:4]): row[4:] for row in shown} == expected
    assert len(shown) == len(expected) > 50
