"""The squares of the map, against counts of the images' own positions."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
import utm

from evaluation.localization.degrees import with_degrees
from serve.databases.database_map import DatabaseMap
from tests.evaluation.conftest import manifest_frame


def at(*places: tuple[float, float]) -> pl.DataFrame:
    """Return images at latitudes and longitudes."""
    metres = {"utm_east": 5e5, "utm_north": 4e6}
    return manifest_frame([{"path": f"{y},{x}.jpg", "latitude": y, "longitude": x, **metres} for y, x in places])


def only_utm(zone: int | None, band: str | None, *metres: tuple[float, float]) -> pl.DataFrame:
    facts = {"utm_zone": zone, "utm_band": band}
    return manifest_frame([{"path": f"{x}@{y}", "utm_east": x, "utm_north": y, **facts} for x, y in metres])


def counts(found: Sequence[Sequence[float]]) -> int:
    return int(sum(images for *_, images in found))


@pytest.mark.parametrize("turn", [0.0, -124.75])
def test_squares_hold_their_images(turn: float) -> None:
    generator = np.random.default_rng(0)
    latitudes, longitudes = generator.uniform(48.8, 48.9, 500), turn + generator.uniform(2.3, 2.4, 500)
    city = DatabaseMap.of(at(*zip(latitudes, longitudes, strict=True)))
    west, south, east, north = turn + 2.34, 48.83, turn + 2.36, 48.85
    found = city.squares((west, south, east, north))
    inside = (longitudes >= west) & (longitudes <= east) & (latitudes >= south) & (latitudes <= north)
    assert counts(found["squares"]) == inside.sum() > 10
    (width, height), side = found["square"], found["square_m"]
    assert height * 111_320 == pytest.approx(side)
    assert width * 111_320 * np.cos(np.radians(48.85)) == pytest.approx(side, rel=0.01)
    for x, y, images in found["squares"]:
        held = (
            inside
            & (np.abs(longitudes - x - width / 2) < width / 2)
            & (np.abs(latitudes - y - height / 2) < height / 2)
        )
        assert held.sum() == images


def test_closer_views_have_smaller_squares() -> None:
    city = DatabaseMap.of(at(*[(48 + step / 1000, 2 + step / 1000) for step in range(1000)]))
    overview, street = city.squares(), city.squares((2.0, 48.0, 2.01, 48.01))
    assert overview["square_m"] >= 50 * street["square_m"]
    assert max(map(len, (overview["squares"], street["squares"]))) <= 111**2
    assert city.squares((100, 0, 101, 1))["squares"] == []
    assert counts(city.squares((-1e300, -1e300, 1e300, 1e300))["squares"]) == 1000


def test_two_utm_zones_are_on_one_map() -> None:
    rows = [(utm.from_latlon(47, x)[:2], utm.from_latlon(47, x)[2]) for x in (5.999, 6.001)]
    images = pl.concat([only_utm(zone, "T", metres) for metres, zone in rows])
    assert set(images["utm_zone"]) == {31, 32}
    drawn = DatabaseMap.of(images)
    found = drawn.squares()
    assert (found["unit"], found["unplaced"]) == ("degrees", 0)
    assert found["bounds"] == pytest.approx([5.999, 47, 6.001, 47], abs=1e-5)
    assert drawn.bounds == found["bounds"], "of names with only UTM"


def test_an_island_at_180_degrees_is_not_as_wide_as_the_world() -> None:
    drawn = DatabaseMap.of(at((-17, 179.9), (-17, -179.9)))
    assert drawn.bounds == pytest.approx([179.9, -17, -179.9, -17]), "west > east, as in GeoJSON"
    west, _, east, _ = drawn.squares()["bounds"]
    assert [west, east] == pytest.approx([179.9, 180.1])


@pytest.mark.parametrize(("zone", "name"), [(None, ""), (10, "10")])
def test_metres_without_a_hemisphere_stay_metres(zone: int | None, name: str) -> None:
    found = DatabaseMap.of(only_utm(zone, None, (100, 200), (300, 250), (300, 250))).squares((0, 0, 400, 400))
    assert (found["unit"], found["zone"], found["bounds"]) == ("metres", name, [0, 0, 400, 400])
    assert (found["square_m"], found["squares"]) == (5, [[100, 200, 1], [300, 250, 2]])


def test_images_of_another_zone_or_no_zone_are_counted_as_not_shown() -> None:
    metres = DatabaseMap.of(pl.concat([only_utm(10, None, (100, 200), (300, 250)), only_utm(11, None, (0, 0))]))
    assert (metres.squares()["zone"], metres.unplaced, counts(metres.squares()["squares"])) == ("10", 1, 2)
    degrees = DatabaseMap.of(pl.concat([at((48, 2)), only_utm(None, None, (1, 2)), only_utm(31, "U", (1e9, 5e6))]))
    assert (degrees.unit, degrees.unplaced) == ("degrees", 2)


@pytest.mark.parametrize("place", [(33.86, 151.2), (-33.86, 151.2), (64.1, -21.9)])
def test_degrees_are_computed_from_utm(place: tuple[float, float]) -> None:
    east, north, zone, band = utm.from_latlon(*place)
    images = pl.concat([only_utm(zone, band, (east, north)), at((1, 2))])
    found = with_degrees(images).select("latitude", "longitude").rows()
    assert found[0] == pytest.approx(place, abs=1e-6)
    assert found[1] == (1, 2)
