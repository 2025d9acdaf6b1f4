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
    """Return unit vectors around centres, as places are: an index of uniform ones has almost no recall."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((200, 16))
    vectors = centres[generator.integers(0, 200, count)] + 0.3 * generator.standard_normal((count, 16))
    unit: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture(scope="module")
def ivfpq(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Return a folder of published descriptors with an index, and the descriptors."""
    artifacts, database = tmp_path_factory.mktemp("artifacts"), clustered(10_000, 0)
    folder = publish(artifacts, database)
    build_index(folder, "ivfpq", artifacts)
    return folder, database


@pytest.fixture(scope="module")
def hnsw(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    database = clustered(2000, 0)
    return publish(tmp_path_factory.mktemp("artifacts"), database), database


@pytest.mark.parametrize("kind", ["ivfpq", "hnsw"])
def test_an_index_finds_most_exact_matches(kind: str, request: pytest.FixtureRequest) -> None:
    folder, database = request.getfixturevalue(kind)
    artifacts, queries = folder.parents[2], clustered(50, 1)
    matches = find_matches(folder, queries, 10, kind, artifacts)
    exact = search(database, queries, 10)[1]
    shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(matches.rows, exact, strict=True)])
    assert 0.95 < shared <= 1
    assert matches.rows.min() >= 0
    assert matches.compared is not None
    np.testing.assert_array_equal(matches.exact, exact[matches.compared])
    index = build_index(folder, kind, artifacts)
    assert index == build_index(folder, kind, artifacts)
    share = (index / "index.faiss").stat().st_size / database.nbytes
    assert share < 0.5 if kind == "ivfpq" else share > 1
    assert f"{100 * share:.0f} % of the descriptors'" in size_of(index, folder)


def test_ivfpq_needs_enough_database_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"index = ivfpq: 300 database images are too few, it needs at least 9,984"):
        build_index(publish(tmp_path, clustered(300, 0)), "ivfpq", tmp_path)


def test_a_query_with_too_few_candidates_searches_all_cells(ivfpq: tuple[Path, np.ndarray]) -> None:
    folder, database = ivfpq
    index = open_index(build_index(folder, "ivfpq", folder.parents[2]))
    assert isinstance(index, faiss.IndexIVF)
    index.nprobe = 1
    rows = search_index(index, database, clustered(3, 1), 500)[1]  # a cell has about 40
    assert [len(set(row)) for row in rows.tolist()] == [500] * 3


def test_an_index_smaller_than_k_returns_all_images(tmp_path: Path) -> None:
    database = clustered(3, 0)
    index = open_index(build_index(publish(tmp_path, database), "hnsw", tmp_path))
    _, rows = search_index(index, database, clustered(2, 1), 10)
    assert [sorted(row) for row in rows.tolist()] == [[0, 1, 2], [0, 1, 2]]


def test_candidates_are_ranked_by_full_descriptors(ivfpq: tuple[Path, np.ndarray]) -> None:
    (folder, database), queries = ivfpq, clustered(70, 1)
    index = open_index(build_index(folder, "ivfpq", folder.parents[2]))
    distances, rows = search_index(index, database, queries, 5)
    squared = ((database[rows] - queries[:, None]).astype(np.float64) ** 2).sum(axis=2)
    np.testing.assert_allclose(distances, squared, rtol=1e-4, atol=1e-6)
    assert (np.diff(distances, axis=1) >= 0).all()
