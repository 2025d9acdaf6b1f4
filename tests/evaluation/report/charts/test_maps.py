import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
import utm

from evaluation.report.charts.maps import Extent, count_squares, draw_density, new_map, square_side
from evaluation.report.charts.style import ROUND_NUMBERS


def images(east: list[float], north: list[float], zone: int | None = 10, band: str | None = "S") -> pl.LazyFrame:
    places = {"utm_east": east, "utm_north": north, "latitude": [None] * len(east)}
    frame = pl.DataFrame(places, schema_overrides={"latitude": pl.Float64})
    return frame.with_columns(utm_zone=pl.lit(zone, pl.Int8), utm_band=pl.lit(band, pl.String)).lazy()


@pytest.mark.parametrize(
    ("side", "labels"),
    [
        (40.0, ["0", "10", "20", "30", "40"]),
        (196.0, ["0", "50", "100", "150"]),
        (30_000.0, ["0", "10", "20", "30"]),  # km
    ],
)
def test_axes_start_at_the_corner(side: float, labels: list[str]) -> None:
    _, axes = new_map(Extent(10, "N", 500_000, 4_000_000, 500_000 + side, 4_000_000 + side))
    for axis, start in ((axes.xaxis, 500_000), (axes.yaxis, 4_000_000)):
        assert [label.get_text() for label in axis.get_ticklabels()] == labels
        assert axis.get_ticklocs()[0] == start
    assert axes.get_ylabel() == ("km north" if side > 10_000 else "metres north")


def test_centre_is_in_degrees() -> None:
    east, north, zone, _ = utm.from_latlon(-33.9, 18.4)
    centre = Extent(zone, "S", east - 10, north - 20, east + 10, north + 20).centre
    assert centre == pytest.approx((-33.9, 18.4), abs=1e-6)
    assert Extent(None, None, 0, 0, 1, 1).centre is None


@pytest.mark.parametrize("side", [3.0, 110.0, 111.0, 5_000.0, 12_345.0])
def test_sides_of_squares_are_round_and_squares_few(side: float) -> None:
    found = square_side(side)
    assert found >= 1
    assert side / found <= 110
    assert found in ROUND_NUMBERS


def test_extent_is_the_zone_with_most_images_without_outliers() -> None:
    rng = np.random.default_rng(0)
    east, north = rng.uniform(500_000, 501_000, 5000), rng.uniform(4_000_000, 4_002_000, 5000)
    city = images([*east, 900_000.0], [*north, 1.0])
    elsewhere = images([250_000.0] * 100, [4_000_000.0] * 100, zone=11)
    extent = Extent.of(pl.concat([elsewhere, city]))
    assert (extent.zone, extent.hemisphere, extent.name) == (10, "N", "UTM 10N")
    assert 499_000 < extent.west < 500_010
    assert 500_990 < extent.east < 502_000
    shape = (extent.east - extent.west) / (extent.north - extent.south)
    assert shape > 0.5, "a narrow strip is widened"


def test_count_squares_matches_a_loop() -> None:
    rng = np.random.default_rng(1)
    east, north = rng.uniform(-30, 30, 200), rng.uniform(0, 50, 200)
    extent = Extent(10, "N", -20, 0, 20, 40)
    counted = Counter(
        (math.floor(x / 5) * 5.0, math.floor(y / 5) * 5.0)
        for x, y in zip(east, north, strict=True)
        if -20 <= x <= 20 and 0 <= y <= 40
    )
    squares = count_squares(images(list(east), list(north)), extent, 5.0)
    assert {(x, y): number for x, y, number in squares.iter_rows()} == counted


def test_extent_of_images_without_a_zone() -> None:
    extent = Extent.of(images([1.0, 2.0], [3.0, 4.0], zone=None, band=None))
    assert (extent.zone, extent.hemisphere, extent.name) == (None, None, "UTM")


@pytest.mark.parametrize(("counts", "key"), [([12, 12], ["12"]), ([1, 1500], ["1", "1,500"])])
def test_key_of_the_density_shows_its_ends(counts: list[int], key: list[str]) -> None:
    squares = pl.DataFrame({"east": [0.0, 10.0], "north": [0.0, 0.0], "images": counts})
    _, axes = new_map(Extent(10, "N", 0, 0, 20, 20))
    draw_density(axes, squares, 10.0)
    (room,) = axes.child_axes
    assert [label.get_text() for label in room.get_xticklabels()] == key
    shades = {tuple(shade) for shade in axes.images[0].to_rgba(np.array(counts))}
    assert len(shades) == len(key)
