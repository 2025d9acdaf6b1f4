"""Precision and recall of answering only the queries that are certain enough, and the area under their curve.

Precision is the share of correct first matches among the answered queries. Recall is the share of answered queries
among those whose first match is correct, as in the literature (arXiv 2404.00546): it is 1 if all are answered.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data_manifest import schemas
from data_manifest.progress import working
from data_manifest.tables import make_frame
from evaluation.metrics.certainty import CALIBRATED, SIGNS
from evaluation.metrics.recalls import CONFIDENCE, SEED

PRECISIONS = (90, 95)  # percent
RESAMPLES = 1000
MAX_DRAWN = 1_000_000  # queries drawn at once
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Curve:
    """Counts of answered and of correct queries at each threshold, most certain first. Equal values share a point."""

    order: Counts  # queries [num_queries], most certain first
    ends: Counts  # last position in `order` of each point
    thresholds: Floats  # value of the least certain query that is answered
    answered: Counts
    hits: Counts

    @classmethod
    def of(cls, certainty: str, values: Floats, correct: Bools) -> "Curve":
        """Return the curve of a certainty, by its name, of each query [num_queries]."""
        order = np.argsort(-SIGNS[certainty] * values, kind="stable")
        in_order = values[order]
        ends = np.flatnonzero(np.append(in_order[1:] != in_order[:-1], True))
        hits = correct[order].cumsum(dtype=np.int64)[ends]
        return cls(order, ends, in_order[ends], ends + 1, hits)

    @property
    def precisions(self) -> Floats:
        """Precision at each threshold, 0 to 1."""
        return self.hits / self.answered

    @property
    def recalls(self) -> Floats:
        """Recall at each threshold, 0 to 1; 0 if no query is correct."""
        recalls: Floats = self.hits / max(1, self.hits[-1])
        return recalls

    @property
    def area(self) -> float | None:
        """Average precision, 0 to 1; None if no query is correct.

        The steps are not interpolated: straight lines between points of this curve are too optimistic (Davis and
        Goadrich 2006).
        """
        return float(_areas(self.hits[None], self.answered[None])[0]) if self.hits[-1] else None

    def point_of(self, percent: int) -> int | None:
        """Return the point that answers most queries with at least this precision in percent; None if no point does."""
        points = np.flatnonzero(100 * self.hits >= percent * self.answered)
        return int(points[-1]) if len(points) else None


def _areas(hits: npt.NDArray[Any], answered: npt.NDArray[Any]) -> Floats:
    """Return the average precision of curves [n, num_points] with a correct query."""
    steps = np.diff(hits, axis=1, prepend=0)
    areas: Floats = np.einsum("np,np->n", steps, hits / np.maximum(answered, 1)) / hits[:, -1]
    return areas


def resampled_areas(curves: dict[str, Curve], correct: Bools) -> dict[str, Floats]:
    """Return the area under each curve, 0 to 1, of queries drawn with replacement with a fixed seed [num_resamples].

    All curves use the same draws. Draws without a correct query have no area and are left out; empty without any.
    """
    if not correct.any():
        return {}
    generator, num_queries = np.random.default_rng(SEED), len(correct)
    areas: dict[str, list[Floats]] = {name: [] for name in curves}
    step = max(1, min(RESAMPLES, MAX_DRAWN // num_queries))
    for first in range(0, RESAMPLES, step):
        count = min(step, RESAMPLES - first)
        drawn = generator.integers(0, num_queries, (count, num_queries)) + num_queries * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.int32)
        times = times[times[:, correct].any(axis=1)]
        for name, curve in curves.items():
            answered = times[:, curve.order]
            hits = answered * correct[curve.order]
            counts = [each.cumsum(axis=1, dtype=np.int32)[:, curve.ends] for each in (hits, answered)]
            areas[name].append(_areas(*counts))
    return {name: np.concatenate(each) for name, each in areas.items()}


def interval_of(drawn: Floats) -> tuple[float, float]:
    """Return the 95 % interval of a figure from its values in resamples [num_resamples]."""
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


@working("measuring the certainties")
def auprc_table(test_set: str, certainty: pl.DataFrame) -> pl.DataFrame:
    """Return the table AUPRC of a table CERTAINTY, one row per certainty; empty for an empty one."""
    if certainty.is_empty():
        return make_frame([], schemas.AUPRC)
    correct = certainty["correct"].to_numpy()
    curves = {name: Curve.of(name, certainty[name].to_numpy(), correct) for name in SIGNS}
    drawn, rows = resampled_areas(curves, correct), []
    for name, curve in curves.items():
        low, high = interval_of(drawn[name]) if name in drawn else (None, None)
        row = {
            "test_set": test_set,
            "certainty": name,
            "queries": len(certainty),
            "correct": int(correct.sum()),
            "auprc": _percent(curve.area),
            "interval_low": _percent(low),
            "interval_high": _percent(high),
        }
        for percent in PRECISIONS:
            point = curve.point_of(percent)
            row[f"threshold_{percent}"] = None if point is None else float(curve.thresholds[point])
            row[f"answered_{percent}"] = 0 if point is None else int(curve.answered[point])
        rows.append(row)
    return make_frame(rows, schemas.AUPRC)


def in_words(auprc: pl.DataFrame) -> str:
    """Return the area of the certainty that photos get, to append to the recalls; empty if there is none."""
    areas = auprc.filter(certainty=CALIBRATED)["auprc"].drop_nulls()
    return "".join(f", AUPRC {area:.1f} ({CALIBRATED})" for area in areas)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
