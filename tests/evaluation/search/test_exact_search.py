from pathlib import Path

import faiss
import numpy as np
import pytest

from data_manifest.errors import UserError
from evaluation.search.exact_search import blocks, search


@pytest.mark.parametrize("num_queries", [3, 50])  # faiss has two algorithms, for few and many queries
def test_search_agrees_with_sorted_distances(num_queries: int) -> None:
    generator = np.random.default_rng(0)
    database = generator.standard_normal((200, 16)).astype(np.float32)
    queries = generator.standard_normal((num_queries, 16)).astype(np.float32)
    squared = ((queries[:, None].astype(np.float64) - database[None]) ** 2).sum(axis=2)
    distances, rows = search(database, queries, 7)
    np.testing.assert_array_equal(rows, np.argsort(squared, axis=1)[:, :7])
    np.testing.assert_allclose(distances, np.sort(squared, axis=1)[:, :7], rtol=1e-4)


def test_a_database_smaller_than_k_by_hand() -> None:
    database = np.array([[0, 0], [3, 4], [0, 1]], dtype=np.float32)
    distances, rows = search(database, np.zeros((1, 2), dtype=np.float32), 20)
    assert rows.tolist() == [[0, 2, 1]]
    assert distances.tolist() == [[0, 1, 25]]


@pytest.mark.parametrize(("num_database", "num_queries", "name"), [(0, 2, "database"), (2, 0, "queries")])
def test_an_empty_side_is_an_error(num_database: int, num_queries: int, name: str) -> None:
    with pytest.raises(UserError, match=f"0 {name}"):
        search(np.zeros((num_database, 4), np.float32), np.zeros((num_queries, 4), np.float32), 5)


def unit_vectors(count: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def test_blocks_give_the_matches_of_a_flat_index(tmp_path: Path) -> None:
    database, queries = unit_vectors(5000, 32, 0), unit_vectors(40, 32, 1)
    np.save(tmp_path / "database.npy", database)
    mapped = np.load(tmp_path / "database.npy", mmap_mode="r")
    index = faiss.IndexFlatL2(32)
    index.add(database)
    expected_distances, expected = index.search(queries, 10)
    for block_rows in (7, 1000, 9999):  # 7: fewer rows than matches
        distances, rows = search(mapped, queries, 10, block_bytes=block_rows * 32 * 4)
        np.testing.assert_array_equal(rows, expected)
        np.testing.assert_allclose(distances, expected_distances, atol=1e-6)


def test_equal_descriptors_are_all_found_across_blocks(tmp_path: Path) -> None:
    database = np.repeat(unit_vectors(4, 8, 0), 5, axis=0)
    _, rows = search(database, database[:1], 5, block_bytes=3 * 8 * 4)
    assert sorted(rows[0].tolist()) == [0, 1, 2, 3, 4]


def test_blocks_of_a_mapped_file_are_its_rows_in_order(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(22, dtype=np.float32).reshape(11, 2))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    for array in (mapped, mapped[3:], np.array(mapped)):  # a slice of a mapping keeps the offset of the whole
        found = list(blocks(array, block_bytes=4 * 8))
        assert [first for first, _ in found] == list(range(0, len(array), 4))
        np.testing.assert_array_equal(np.concatenate([block for _, block in found]), array)
