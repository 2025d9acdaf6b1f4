"""Recompute certainties query by query in plain Python, and check the cases where a part of them is missing."""

import math

import numpy as np
import pytest

from evaluation.metrics.certainty import RANKS, certainties
from evaluation.metrics.positives import Positions

THRESHOLD = 25.0


def positions(places: list[tuple[float, float]], zones: list[int] | None = None) -> Positions:
    unknown = np.zeros(len(places), np.int8)
    return Positions(np.array(places, float), unknown if zones is None else np.array(zones, np.int8), unknown)


def of_one(places: list[tuple[float, float]], scores: list[float], zones: list[int] | None = None) -> dict[str, float]:
    """Return the certainties of a query whose matches are all images, in their order."""
    found = certainties(
        np.arange(len(places))[None], np.array([scores], np.float32), positions(places, zones), THRESHOLD
    )
    return {name: float(values[0]) for name, values in found.items()}


def test_certainties_agree_with_plain_python() -> None:
    generator = np.random.default_rng(0)
    places = [(float(east), float(north)) for east, north in generator.uniform(0, 3000, (60, 2))]
    places += [(east + 5, north) for east, north in places]
    zones = generator.choice([10, 10, 10, 11], len(places)).tolist()
    rows = np.stack([generator.permutation(len(places))[: RANKS + 5] for _ in range(50)])
    scores = np.sort(generator.uniform(0.98, 1, rows.shape).astype(np.float32))[:, ::-1]
    found = certainties(rows, scores, positions(places, zones), THRESHOLD)
    for query in range(len(rows)):
        matches = rows[query].tolist()
        distances = [math.sqrt(2 - 2 * float(score)) for score in scores[query]]

        def offset(match: int, first: int = matches[0]) -> tuple[float, float]:
            if zones[match] != zones[first]:
                return 500.0, 500.0
            return tuple(max(-500.0, min(500.0, a - b)) for a, b in zip(places[match], places[first], strict=True))  # type: ignore[return-value]

        others = [
            rank
            for rank in range(RANKS)
            if zones[matches[rank]] != zones[matches[0]] or math.dist(places[matches[rank]], places[matches[0]]) > 25
        ]
        assert found["similarity"][query] == scores[query, 0]
        assert found["ratio"][query] == pytest.approx(distances[0] / distances[others[0]])
        weights = [math.exp(-350 * distance) for distance in distances[:10]]
        variance = 0.0
        for coordinate in (0, 1):
            values = [offset(match)[coordinate] for match in matches[:10]]
            mean = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
            variance += sum(w * (v - mean) ** 2 for w, v in zip(weights, values, strict=True)) / sum(weights)
        assert found["spread"][query] == pytest.approx(math.sqrt(variance), rel=1e-6)


def test_matches_of_one_place_are_certain() -> None:
    found = of_one([(0, 0), (3, 4), (25, 0)], [0.9, 0.9, 0.9])
    assert found["ratio"] == 0.0, "no second place"
    assert found["spread"] < 25
    assert of_one([(0, 0)], [0.5]) == {"similarity": 0.5, "ratio": 0.0, "spread": 0.0}


def test_equal_descriptors_of_two_places_are_uncertain() -> None:
    found = of_one([(0, 0), (400, 0)], [1.0, 1.0])
    assert (found["ratio"], found["spread"]) == (1.0, 200.0)
    assert of_one([(0, 0), (1e6, 0)], [0.9, 0.9])["spread"] == 250.0, "differences of over 500 m are equal"
    zones = of_one([(0, 0), (0, 0)], [0.9, 0.9], [10, 11])
    assert list(zones.values()) == pytest.approx([0.9, 1.0, 250 * math.sqrt(2)])


def test_rounding_past_1_is_no_distance() -> None:
    found = of_one([(0, 0), (400, 0)], [1.0000001, 0.9])
    assert list(found.values()) == pytest.approx([1, 0, 0], abs=1e-6)


def test_frames_count_as_positions() -> None:
    found = certainties(
        np.array([[0, 1, 2]]),
        np.array([[0.92, 0.92, 0.5]], np.float32),
        Positions(np.array([[0.0, 100], [0.0, 104], [0.0, 900]]), *(np.zeros(3, np.int8),) * 2),
        10.0,
    )
    assert found["ratio"][0] == pytest.approx(math.sqrt(0.16), rel=1e-5)
    assert found["spread"][0] == pytest.approx(2)
