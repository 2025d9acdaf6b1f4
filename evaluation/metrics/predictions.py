"""The predictions table: every query's best matches, how alike and how far they are, and whether they are right."""

import numpy as np
import numpy.typing as npt
import polars as pl


def predictions_table(
    query_paths: pl.Series,
    database_paths: pl.Series,
    matches: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    distances_m: npt.NDArray[np.float64],
    correct: npt.NDArray[np.bool_],
    heading_differences: npt.NDArray[np.float64],
    years_apart: npt.NDArray[np.float64],
) -> pl.DataFrame:
    """Return the table PREDICTIONS, in the order of the queries and, within a query, of the ranks.

    Args:
        query_paths: One a query.
        database_paths: One a database image.
        matches: Database rows [num_queries, num_matches], best first.
        scores: Cosine similarities, of the same shape.
        distances_m: Metres or frames, of the same shape; infinite between two UTM zones.
        correct: Whether the match is a positive, of the same shape.
        heading_differences: Degrees, of the same shape; NaN where one of the two headings is not known.
        years_apart: Year of the match less that of the query, of the same shape; NaN where one is not known.
    """
    num_queries, num_matches = matches.shape
    return pl.DataFrame(
        {
            "query_path": query_paths.gather(np.repeat(np.arange(num_queries), num_matches)),
            "rank": np.tile(np.arange(1, num_matches + 1, dtype=np.int32), num_queries),
            "database_path": database_paths.gather(matches.ravel()),
            "score": scores.astype(np.float32, copy=False).ravel(),
            "distance_m": distances_m.ravel(),
            "correct": correct.ravel(),
            "heading_difference": pl.Series(heading_differences.ravel()).fill_nan(None),
            "years_apart": pl.Series(years_apart.ravel()).fill_nan(None).cast(pl.Int16),
        }
    )


def cosine_similarities(
    queries: npt.NDArray[np.float32], database: npt.NDArray[np.float32], matches: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Return the cosine similarity of each query [num_queries, dim] to its matches: [num_queries, num_matches].

    Descriptors need not have unit length; one of length 0 is similar to nothing: 0.
    """
    scores = np.empty(matches.shape, dtype=np.float32)
    query_lengths = np.linalg.norm(queries, axis=1)
    for rank in range(matches.shape[1]):  # rank by rank: all at once would copy num_matches * dim values a query
        matched = database[matches[:, rank]]
        lengths = query_lengths * np.linalg.norm(matched, axis=1)
        scores[:, rank] = np.einsum("qd,qd->q", queries, matched) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scores
