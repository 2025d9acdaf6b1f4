from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_manifest import schemas
from data_manifest.tables import read_table, write_table
from evaluation.metrics.predictions import cosine_similarities, predictions_table


def test_columns_and_values_by_hand(tmp_path: Path) -> None:
    table = predictions_table(
        query_paths=pl.Series(["q/b.jpg", "q/a.jpg"]),
        database_paths=pl.Series(["d/0.jpg", "d/1.jpg", "d/2.jpg"]),
        matches=np.array([[2, 0], [1, 2]]),
        scores=np.array([[0.75, 0.5], [1.0, -0.25]], dtype=np.float32),
        distances_m=np.array([[4184971.7, 25.0], [0.0, np.inf]]),
        correct=np.array([[False, True], [True, False]]),
        heading_differences=np.array([[0.0, 180.0], [np.nan, 15.5]]),
        years_apart=np.array([[-3.0, 0.0], [4.0, np.nan]]),
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


def test_cosine_similarities_agree_with_the_angle() -> None:
    degrees = np.radians([0, 60, 90, 180])
    database = np.stack([np.cos(degrees), np.sin(degrees)], axis=1).astype(np.float32) * np.array([[1], [7], [1], [2]])
    queries = np.array([[3, 0], [0, 1]], dtype=np.float32)  # lengths do not matter
    scores = cosine_similarities(queries, database.astype(np.float32), np.array([[0, 1, 2, 3], [2, 1, 0, 0]]))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [[1, 0.5, 0, -1], [1, 3**0.5 / 2, 0, 0]], atol=1e-6)


def test_a_descriptor_of_length_zero_is_similar_to_nothing() -> None:
    zero, one = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)
    assert cosine_similarities(zero, one, np.array([[0]])).item() == pytest.approx(0)
