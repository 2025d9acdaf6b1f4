import math

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from data_manifest.errors import UserError
from evaluation.metrics.positives import Positions, distances_m, find_positives

NORTH = 4184971.70  # of San Francisco: the nearest float32 values are 4184971.5 and 4184972.0


def manifest(
    metres: npt.NDArray[np.float64] | list[tuple[float, float]],
    zones: list[int | None] | None = None,
    bands: list[str | None] | None = None,
    latitudes: list[float | None] | None = None,
) -> pl.DataFrame:
    nulls = [None] * len(metres)
    return pl.DataFrame(
        {
            "utm_east": [float(east) for east, _ in metres],
            "utm_north": [float(north) for _, north in metres],
            "utm_zone": pl.Series(zones or nulls, dtype=pl.Int8),
            "utm_band": pl.Series(bands or nulls, dtype=pl.String),
            "latitude": pl.Series(latitudes or nulls, dtype=pl.Float64),
        }
    )


def positions(*args: object, **kwargs: object) -> Positions:
    return Positions.from_manifest(manifest(*args, **kwargs))  # type: ignore[arg-type]


def lists(positives: list[npt.NDArray[np.int64]]) -> list[list[int]]:
    return [rows.tolist() for rows in positives]


def test_the_threshold_is_inclusive_to_a_centimetre() -> None:
    database = positions(
        [(551000, NORTH + 25), (551000, NORTH + 25.01), (551007, NORTH - 24), (550975, NORTH), (550974.99, NORTH)]
    )
    query = positions([(551000, NORTH)])
    assert lists(find_positives(database, query, 25.0)) == [[0, 2, 3]]
    # In float32 the second image would be a positive:
    assert abs(np.float32(NORTH + 25.01) - np.float32(NORTH)) <= 25


def test_agrees_with_a_double_loop() -> None:
    generator = np.random.default_rng(0)
    corner, steps = np.array([551000.19, NORTH]), generator.integers(-8, 9, (300, 2))
    # Steps of 5 metres, so that many pairs are exactly at the threshold, such as 15 and 20 metres; others are anywhere.
    database = corner + np.where(np.arange(300)[:, None] < 200, steps * 5.0, generator.uniform(-40, 40, (300, 2)))
    queries = corner + generator.integers(-3, 4, (40, 2)) * 5.0
    expected = [
        [
            row
            for row, (east, north) in enumerate(database.tolist())
            if math.hypot(query_east - east, query_north - north) <= 25.0
        ]
        for query_east, query_north in queries.tolist()
    ]
    assert lists(find_positives(positions(database), positions(queries), 25.0)) == expected
    at_threshold = sum(math.hypot(*step) == 5 for step in steps[:200].tolist())
    assert at_threshold > 5


def test_a_threshold_of_0_needs_equal_positions() -> None:
    database = positions([(1.0, NORTH), (1.0, NORTH + 1e-6)])
    assert lists(find_positives(database, positions([(1.0, NORTH)]), 0.0)) == [[0]]


def test_a_query_without_a_positive_has_no_rows() -> None:
    assert lists(find_positives(positions([(0, 0)]), positions([(0, 26), (0, 1)]), 25.0)) == [[], [0]]


@pytest.mark.parametrize(
    ("zone", "band", "latitude", "expected"),
    [
        (10, "S", None, [0, 2, 3, 4]),
        (11, "S", None, [1, 2, 3]),
        (10, None, None, [0, 2, 3, 4]),
        (10, "H", None, [2, 4]),  # south: agrees only with unknown hemispheres
        (10, "s", None, [0, 2, 3, 4]),
        (10, None, -33.0, [2, 4]),
        (10, None, 37.0, [0, 2, 3, 4]),
        (None, "S", None, [0, 1, 2, 3, 4]),
        (None, "M", None, [2, 4]),
        (None, None, None, [0, 1, 2, 3, 4]),
    ],
)
def test_zones_and_hemispheres_must_agree_and_unknown_ones_agree_with_any(
    zone: int | None, band: str | None, latitude: float | None, expected: list[int]
) -> None:
    zones, bands = [10, 11, None, None, 10], ["S", "S", None, "N", None]
    database = positions([(0, 0)] * 5, zones, bands)
    query = positions([(0, 0)], [zone], [band], [latitude])
    assert lists(find_positives(database, query, 25.0)) == [expected]
    distances = distances_m(query, np.zeros(1, np.int64), database, np.arange(5))
    assert np.flatnonzero(np.isfinite(distances)).tolist() == expected


def test_the_hemisphere_comes_from_the_band_else_from_the_latitude() -> None:
    found = positions([(0, 0)] * 5, bands=["N", "M", None, None, None], latitudes=[-1.0, 1.0, 0.0, None, -0.1])
    assert found.hemispheres.tolist() == [1, -1, 1, 0, -1]


def test_distances_have_the_shape_of_the_rows() -> None:
    database, queries = positions([(3, NORTH + 4), (0, NORTH + 0.01)]), positions([(0, NORTH), (3, NORTH)])
    distances = distances_m(queries, np.arange(2)[:, None], database, np.array([[0, 1], [1, 0]]))
    assert distances.dtype == np.float64
    np.testing.assert_allclose(distances, [[5, 0.01], [math.hypot(3, 0.01), 4]], atol=1e-8)


def test_a_position_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(UserError, match=r"row 1 .*utm_north nan"):
        positions([(0, 0), (1, math.nan)])


def frames(*numbers: str | None) -> Positions:
    rows = manifest([(0.0, 1e6 * place) for place in range(len(numbers))], zones=[10] * len(numbers))
    paths = pl.Series([f"{place}.jpg" for place in range(len(numbers))])
    return Positions.from_manifest(rows.with_columns(pano_id=pl.Series(numbers), path=paths), unit="frames")


def test_frames_are_compared_by_number_not_position() -> None:
    database, queries = frames("0", "138", "158", "159"), frames("148", "9")
    assert lists(find_positives(database, queries, 10)) == [[1, 2], [0]]


def test_a_pano_id_that_is_not_a_number_is_an_error() -> None:
    with pytest.raises(UserError, match=r"1\.jpg: pano_id rtCs5-P is not a frame number"):
        frames("148", "rtCs5-P")
