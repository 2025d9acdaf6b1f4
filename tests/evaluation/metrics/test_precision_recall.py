"""Recompute curves and areas by trying every threshold, and areas of known data by hand."""

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from evaluation.metrics.certainty import RATIO, SIMILARITY
from evaluation.metrics.precision_recall import Curve, auprc_table, interval_of, resampled_areas

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def by_thresholds(values: Floats, correct: Bools) -> list[tuple[float, int, int]]:
    """Return threshold, answered and correct queries for every threshold on a similarity, highest first."""
    rows = []
    for threshold in sorted(set(values.tolist()), reverse=True):
        answered = [right for value, right in zip(values, correct, strict=True) if value >= threshold]
        rows.append((threshold, len(answered), sum(answered)))
    return rows


def area_by_hand(values: Floats, correct: Bools) -> float:
    """Return the area under the steps of the curve."""
    area, last = 0.0, 0.0
    for _, answered, hits in by_thresholds(values, correct):
        area += (hits / correct.sum() - last) * hits / answered
        last = hits / correct.sum()
    return area


def random_queries(count: int, seed: int = 0) -> tuple[Floats, Bools]:
    """Return similarities with many ties and correctness that depends on them."""
    generator = np.random.default_rng(seed)
    values = generator.integers(0, 12, count) / 12
    return values, generator.random(count) < values


def table(similarity: Floats, correct: Bools) -> pl.DataFrame:
    columns = {"similarity": similarity, "ratio": 1 - similarity, "spread": 100 - 100 * similarity}
    return pl.DataFrame(
        {"query_path": [f"{query}.jpg" for query in range(len(correct))], **columns, "correct": correct}
    )


def test_a_curve_has_every_threshold_once() -> None:
    values, correct = random_queries(80)
    curve = Curve.of(SIMILARITY, values, correct)
    found = zip(curve.thresholds.tolist(), curve.answered.tolist(), curve.hits.tolist(), strict=True)
    assert list(found) == by_thresholds(values, correct)
    assert curve.area == pytest.approx(area_by_hand(values, correct))
    assert curve.recalls[-1] == 1
    assert curve.precisions[-1] == pytest.approx(correct.mean())
    assert Curve.of(RATIO, -values, correct).area == curve.area


def test_the_order_of_queries_does_not_matter() -> None:
    values, correct = random_queries(80)
    shuffled = np.random.default_rng(1).permutation(80)
    first, second = Curve.of(SIMILARITY, values, correct), Curve.of(SIMILARITY, values[shuffled], correct[shuffled])
    assert first.area == second.area
    assert first.point_of(90) == second.point_of(90)
    sorted_to_favour = np.lexsort((~correct, -values))
    assert Curve.of(SIMILARITY, values[sorted_to_favour], correct[sorted_to_favour]).area == first.area


def test_areas_by_hand() -> None:
    values = np.array([0.9, 0.8, 0.7, 0.6])
    assert Curve.of(SIMILARITY, values, np.array([True, False, True, False])).area == pytest.approx(5 / 6)
    assert Curve.of(SIMILARITY, np.full(4, 0.5), np.array([True, False, False, False])).area == pytest.approx(0.25)
    assert Curve.of(SIMILARITY, values, np.zeros(4, bool)).area is None


def test_the_threshold_answers_as_many_queries_as_possible() -> None:
    values = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
    correct = np.array([False, *[True] * 9])
    curve = Curve.of(SIMILARITY, values, correct)
    assert curve.point_of(90) == 9, "all 10, although the most certain one is incorrect"
    assert curve.point_of(95) is None


def test_intervals_are_those_of_plain_resampling() -> None:
    values, correct = random_queries(60)
    curves = {SIMILARITY: Curve.of(SIMILARITY, values, correct), RATIO: Curve.of(RATIO, -values, correct)}
    found = {name: interval_of(areas) for name, areas in resampled_areas(curves, correct).items()}
    generator, areas = np.random.default_rng(7), []
    for _ in range(3000):
        drawn = generator.integers(0, 60, 60)
        areas.append(area_by_hand(values[drawn], correct[drawn]))
    assert found[SIMILARITY] == pytest.approx(np.quantile(areas, [0.025, 0.975]), abs=0.015)
    assert found[SIMILARITY] == found[RATIO], "the same resamples"
    assert found[SIMILARITY][0] < float(curves[SIMILARITY].area or 0) < found[SIMILARITY][1]


def test_intervals_do_not_depend_on_the_memory_used(monkeypatch: pytest.MonkeyPatch) -> None:
    values, correct = random_queries(60)
    curves = {SIMILARITY: Curve.of(SIMILARITY, values, correct)}
    found = resampled_areas(curves, correct)[SIMILARITY]
    monkeypatch.setattr("evaluation.metrics.precision_recall.MAX_DRAWN", 700)
    assert resampled_areas(curves, correct)[SIMILARITY].tolist() == found.tolist()


def test_a_table_of_all_and_of_no_correct_queries() -> None:
    values, _ = random_queries(30)
    perfect = auprc_table("town", table(values, np.ones(30, bool))).row(0, named=True)
    assert (perfect["auprc"], perfect["interval_low"], perfect["interval_high"]) == (100.0, 100.0, 100.0)
    assert (perfect["threshold_95"], perfect["answered_95"]) == (values.min(), 30)
    wrong = auprc_table("town", table(values, np.zeros(30, bool))).row(0, named=True)
    assert (wrong["auprc"], wrong["interval_low"], wrong["threshold_90"]) == (None, None, None)
    assert (wrong["answered_90"], wrong["queries"], wrong["correct"]) == (0, 30, 0)


def test_a_single_correct_query_has_an_area_though_most_resamples_lack_it() -> None:
    values, correct = np.array([0.9, 0.5, 0.4]), np.array([True, False, False])
    row = auprc_table("town", table(values, correct)).row(0, named=True)
    assert (row["auprc"], row["interval_low"], row["interval_high"]) == (100.0, 100.0, 100.0)
    assert (row["threshold_95"], row["answered_95"]) == (0.9, 1)
