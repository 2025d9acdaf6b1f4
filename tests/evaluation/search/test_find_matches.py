import numpy as np
import pytest

from evaluation.search.find_matches import cosine_similarities, exact_matches


def test_exact_matches_have_the_cosine_similarities_of_their_rows() -> None:
    database, queries = np.eye(3, 2, dtype=np.float32), np.array([[0, 2]], np.float32)
    matches = exact_matches(database, queries, 5)
    assert matches.rows.tolist() == [[1, 2, 0]]
    assert matches.scores.tolist() == [[1, 0, 0]]
    assert (matches.index_size, matches.compared, matches.exact) == (None, None, None)


def test_cosine_similarities_are_those_of_the_angles() -> None:
    degrees = np.radians([0, 60, 90, 180])
    database = np.stack([np.cos(degrees), np.sin(degrees)], axis=1).astype(np.float32) * np.array([[1], [7], [1], [2]])
    queries = np.array([[3, 0], [0, 1]], dtype=np.float32)  # of any length
    scores = cosine_similarities(queries, database.astype(np.float32), np.array([[0, 1, 2, 3], [2, 1, 0, 0]]))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [[1, 0.5, 0, -1], [1, 3**0.5 / 2, 0, 0]], atol=1e-6)


def test_a_descriptor_of_length_zero_has_similarity_0() -> None:
    zero, one = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)
    assert cosine_similarities(zero, one, np.array([[0]])).item() == pytest.approx(0)
