"""Recompute an evaluation query by query in plain Python, and its intervals from the binomial distribution."""

import itertools
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from data_manifest import schemas
from data_manifest.tables import read_table, write_table
from evaluation.metrics.breakdown import Differences
from evaluation.metrics.evaluation import evaluate_matches, predictions_table
from evaluation.search.find_matches import Matches
from evaluation.settings import Threshold

KS, QUERIES, DATABASE = (1, 5), 120, 90
Row = dict[str, object]


def images(count: int, seed: int) -> pl.DataFrame:
    """Return images on a grid of 10 metres in two zones; heading and year are unknown for a third each."""
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


def test_an_evaluation_agrees_with_plain_python() -> None:
    queries, database = images(QUERIES, 0), images(DATABASE, 1)
    generator = np.random.default_rng(2)
    matches = np.stack([generator.permutation(DATABASE)[: max(KS)] for _ in range(QUERIES)])
    scores = np.zeros(matches.shape, np.float32)
    found = evaluate_matches("city", database, queries, Matches(matches, scores), Threshold(25.0), KS)

    hits: dict[tuple[str, ...], list[list[bool]]] = defaultdict(list)
    every, answerable = [], []
    for query, rows in zip(queries.to_dicts(), matches.tolist(), strict=True):
        best = [database.row(row, named=True) for row in rows]
        correct = [distance(query, image) <= 25 for image in best]
        hit = [any(correct[:k]) for k in KS]
        positives = [image for image in database.to_dicts() if distance(query, image) <= 25]
        every.append(hit)
        answerable += [hit] if positives else []
        for aspect, difference in (("distance", distance), ("heading_difference", turned), ("years_apart", years)):
            hits[aspect, "query and best match", label(aspect, difference(query, best[0]))].append(hit)
            known = [value for image in positives if (value := difference(query, image)) is not None]
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


def test_predictions_by_hand(tmp_path: Path) -> None:
    matches = Matches(np.array([[2, 0], [1, 2]]), np.array([[0.75, 0.5], [1.0, -0.25]], np.float32))
    table = predictions_table(
        pl.Series(["q/b.jpg", "q/a.jpg"]),
        pl.Series(["d/0.jpg", "d/1.jpg", "d/2.jpg"]),
        matches,
        Differences(
            np.array([[4184971.7, 25.0], [0.0, np.inf]]),
            np.array([[0.0, 180.0], [np.nan, 15.5]]),
            np.array([[-3.0, 0.0], [4.0, np.nan]]),
        ),
        np.array([[False, True], [True, False]]),
    )
    assert table.rows() == [
        ("q/b.jpg", 1, "d/2.jpg", 0.75, 4184971.7, False, 0.0, -3),
        ("q/b.jpg", 2, "d/0.jpg", 0.5, 25.0, True, 180.0, 0),
        ("q/a.jpg", 1, "d/1.jpg", 1.0, 0.0, True, None, 4),
        ("q/a.jpg", 2, "d/2.jpg", -0.25, np.inf, False, 15.5, None),
    ]
    assert table.columns == schemas.PREDICTIONS.names
    write_table(table, tmp_path / "predictions" / "part.parquet", schemas.PREDICTIONS)
    assert read_table(tmp_path, "predictions").equals(table)
