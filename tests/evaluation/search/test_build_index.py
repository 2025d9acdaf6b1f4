"""Approximate search: what it finds is held against exact search, and what it cannot do is said."""

from pathlib import Path

import faiss
import numpy as np
import pytest

from data_manifest.errors import UserError
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe
from evaluation.search.build_index import build_index, open_index, search_index, size_of
from evaluation.search.exact_search import search
from evaluation.search.find_matches import find_matches


def publish(artifacts: Path, descriptors: np.ndarray) -> Path:
    recipe = Recipe("descriptors", "city", 1, {"count": len(descriptors)}, {})
    with publishing(artifacts, recipe, {"made": "some"}) as staging:
        np.save(staging / "descriptors.npy", descriptors)
    return recipe.folder(artifacts)


def clustered(count: int, seed: int) -> np.ndarray:
    """Unit vectors around some centres, as places are: an index of evenly spread ones finds next to nothing."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((200, 16))
    vectors = centres[generator.integers(0, 200, count)] + 0.3 * generator.standard_normal((count, 16))
    unit: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.mark.parametrize(("kind", "count", "least"), [("ivfpq", 10_000, 0.95), ("hnsw", 2000, 0.95)])
def test_an_index_finds_most_and_its_matches_are_rows_of_the_database(
    tmp_path: Path, kind: str, count: int, least: float
) -> None:
    database, queries = clustered(count, 0), clustered(50, 1)
    folder = publish(tmp_path, database)
    matches = find_matches(folder, queries, 10, kind, tmp_path)
    exact = search(database, queries, 10)[1]
    shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(matches.rows, exact, strict=True)])
    assert least < shared <= 1
    assert matches.rows.min() >= 0
    assert matches.measured is not None
    np.testing.assert_array_equal(matches.exact, exact[matches.measured])
    index = build_index(folder, kind, tmp_path)
    assert index == build_index(folder, kind, tmp_path)
    share = (index / "index.faiss").stat().st_size / database.nbytes
    assert share < 0.5 if kind == "ivfpq" else share > 1
    assert f"{100 * share:.0f} % of the descriptors'" in size_of(index, folder)


def test_codes_cannot_be_learned_from_a_few(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"index = ivfpq: .* at least 9,984 database images, there are 300"):
        build_index(publish(tmp_path, clustered(300, 0)), "ivfpq", tmp_path)


def test_a_query_whose_cells_hold_too_few_is_looked_up_in_all(tmp_path: Path) -> None:
    database = clustered(9984, 0)
    index = open_index(build_index(publish(tmp_path, database), "ivfpq", tmp_path))
    assert isinstance(index, faiss.IndexIVF)
    index.nprobe = 1
    rows = search_index(index, database, clustered(3, 1), 500)[1]  # a cell holds about 40
    assert [len(set(row)) for row in rows.tolist()] == [500] * 3


def test_an_index_of_fewer_images_than_matches_asked_for(tmp_path: Path) -> None:
    database = clustered(3, 0)
    index = open_index(build_index(publish(tmp_path, database), "hnsw", tmp_path))
    _, rows = search_index(index, database, clustered(2, 1), 10)
    assert [sorted(row) for row in rows.tolist()] == [[0, 1, 2], [0, 1, 2]]


def test_candidates_are_ranked_by_their_whole_descriptors(tmp_path: Path) -> None:
    database, queries = clustered(10_000, 0), clustered(70, 1)
    index = open_index(build_index(publish(tmp_path, database), "ivfpq", tmp_path))
    distances, rows = search_index(index, database, queries, 5)
    squared = ((database[rows] - queries[:, None]).astype(np.float64) ** 2).sum(axis=2)
    np.testing.assert_allclose(distances, squared, rtol=1e-4, atol=1e-6)
    assert (np.diff(distances, axis=1) >= 0).all()
