import numpy as np
import pytest

from data_manifest.errors import UserError
from evaluation.search import search


@pytest.mark.parametrize("num_queries", [3, 50])  # faiss computes few and many queries in two ways
def test_agrees_with_all_distances_computed_and_sorted(num_queries: int) -> None:
    generator = np.random.default_rng(0)
    database = generator.standard_normal((200, 16)).astype(np.float32)
    queries = generator.standard_normal((num_queries, 16)).astype(np.float32)
    squared = ((queries[:, None].astype(np.float64) - database[None]) ** 2).sum(axis=2)
    distances, rows = search(database, queries, 7)
    np.testing.assert_array_equal(rows, np.argsort(squared, axis=1)[:, :7])
    np.testing.assert_allclose(distances, np.sort(squared, axis=1)[:, :7], rtol=1e-4)


def test_by_hand_with_a_database_smaller_than_k() -> None:
    database = np.array([[0, 0], [3, 4], [0, 1]], dtype=np.float32)
    distances, rows = search(database, np.zeros((1, 2), dtype=np.float32), 20)
    assert rows.tolist() == [[0, 2, 1]]
    assert distances.tolist() == [[0, 1, 25]]


@pytest.mark.parametrize(("num_database", "num_queries", "name"), [(0, 2, "database"), (2, 0, "queries")])
def test_an_empty_side_is_refused(num_database: int, num_queries: int, name: str) -> None:
    with pytest.raises(UserError, match=f"0 {name}"):
        search(np.zeros((num_database, 4), np.float32), np.zeros((num_queries, 4), np.float32), 5)
