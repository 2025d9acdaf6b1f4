import math
import random
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
import utm

from pipeline.metadata.paths import Paths
from pipeline.metadata.read_names import read_names

NameWith = Callable[..., str]
NO_UTM = {"utm_east": "", "utm_north": "", "utm_zone": "", "utm_band": ""}
NO_DEGREES = {"latitude": "", "longitude": ""}


def read(*names: str, strict: bool = True) -> list[dict[str, Any]]:
    paths = Paths(pl.Series(names).cast(pl.Binary))
    by_path = {row["path"]: row for row in read_names(paths, strict).iter_rows(named=True)}
    return [by_path[name] for name in names]


def reason(row: dict[str, Any]) -> str | None:
    return None if row["reject"] is None else f"{row['reject']['reason']}: {row['reject']['detail']}"


def utm_of(row: dict[str, Any]) -> tuple[float, float, int, str]:
    return row["utm_east"], row["utm_north"], row["utm_zone"], row["utm_band"]


def assert_like_utm(names: list[str], points: list[tuple[float, float]]) -> None:
    for row, (latitude, longitude) in zip(read(*names), points, strict=True):
        east, north, zone, band = utm.from_latlon(latitude, longitude)  # one point at a time
        assert row["reject"] is None
        assert utm_of(row)[2:] == (zone, band), (latitude, longitude)
        assert utm_of(row)[:2] == pytest.approx((east, north), abs=1e-6, rel=0), (latitude, longitude)
        assert row["apart_m"] == pytest.approx(0, abs=1e-6)


def test_random_points_of_both_hemispheres(name_with: NameWith) -> None:
    generator = random.Random(1)
    points = [(generator.uniform(-80, 84), generator.uniform(-180, 180)) for _ in range(400)]
    points += [(generator.uniform(-0.01, 0.01), generator.uniform(5.9, 6.1)) for _ in range(100)]
    assert_like_utm([name_with(**NO_UTM, latitude=lat, longitude=lon) for lat, lon in points], points)


ODD_POINTS = {
    "Bergen": (60.39, 5.32),  # Norway: zone 32 in place of 31
    "Norway's west": (60.0, 3.0),
    "west of Norway": (60.0, 2.999999),
    "Norway's south": (56.0, 5.0),
    "south of Norway": (55.999999, 5.0),
    "north of Norway": (64.0, 5.0),
    "Svalbard 31": (78.0, 8.99),
    "Svalbard 33": (78.0, 9.0),
    "Svalbard 33 east": (78.0, 20.99),
    "Svalbard 35": (78.0, 21.0),
    "Svalbard 37": (78.0, 33.0),
    "Svalbard's end": (78.0, 42.0),
    "south of Svalbard": (71.999999, 8.0),
    "Svalbard's south": (72.0, 8.0),
    "zone border": (37.0, -120.0),
    "west of it": (37.0, -120.000001),
    "Greenwich": (51.5, 0.0),
    "equator": (0.0, 10.0),
    "band border": (8.0, 10.0),
    "180 degrees": (10.0, 180.0),
    "-180 degrees": (10.0, -180.0),
    "nearly 180 degrees": (-10.0, 179.999999),
    "northernmost": (84.0, 30.0),
    "southernmost": (-80.0, 30.0),
}


def test_zone_borders_and_exceptions(name_with: NameWith) -> None:
    points = list(ODD_POINTS.values())
    names = [name_with(**NO_UTM, latitude=repr(lat), longitude=repr(lon)) for lat, lon in points]
    assert_like_utm(names, points)
    together = dict(zip(ODD_POINTS, read(*names), strict=True))
    zones = {name: row["utm_zone"] for name, row in together.items()}
    assert zones["Bergen"] == zones["Norway's west"] == zones["Norway's south"] == 32
    assert zones["west of Norway"] == zones["south of Norway"] == zones["north of Norway"] == 31
    assert [zones[f"Svalbard {zone}"] for zone in (31, 33, 35, 37)] == [31, 33, 35, 37]
    assert zones["180 degrees"] == zones["-180 degrees"] == 1
    assert zones["nearly 180 degrees"] == 60


def test_just_south_of_the_equator(name_with: NameWith) -> None:
    (row,) = read(name_with(**NO_UTM, latitude="-1e-18", longitude="10"))
    assert (row["utm_band"], row["utm_north"]) == ("M", pytest.approx(10_000_000, abs=1e-6))


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("latitude", ["84.0001", "90", "-80.0001", "-90"])
def test_poles_are_not_a_position(name_with: NameWith, latitude: str, strict: bool) -> None:
    (row,) = read(name_with(**NO_UTM, latitude=latitude), strict=strict)
    assert reason(row) == "no position: no UTM, and no latitude and longitude within the range of UTM"


@pytest.mark.parametrize("strict", [True, False])
def test_a_pole_with_a_utm_position_is_usable(name_with: NameWith, strict: bool) -> None:
    (row,) = read(name_with(latitude="89.5"), strict=strict)
    assert (row["reject"], row["apart_m"]) == (None, None)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "missing",
    [
        {**NO_UTM, **NO_DEGREES},
        {**NO_UTM, "latitude": ""},
        {**NO_UTM, "longitude": ""},
        {"utm_east": "", **NO_DEGREES},
        {"utm_north": "", **NO_DEGREES},
    ],
    ids=["everything", "latitude", "longitude", "east", "north"],
)
def test_no_position(name_with: NameWith, missing: dict[str, str], strict: bool) -> None:
    (row,) = read(name_with(**missing), strict=strict)
    assert reason(row) == "no position: no UTM, and no latitude and longitude within the range of UTM"


@pytest.mark.parametrize("missing", ["utm_east", "utm_north"])
def test_half_a_utm_position_is_computed_again(name_with: NameWith, missing: str) -> None:
    (row,) = read(name_with(**{missing: "", "utm_zone": "11", "utm_band": "T"}))
    east, north, zone, band = utm.from_latlon(37.81098, -122.47762)
    assert utm_of(row)[:2] == pytest.approx((east, north))
    assert utm_of(row)[2:] == (zone, band)


def test_a_utm_position_alone_is_enough(name_with: NameWith) -> None:
    (row,) = read(name_with(**NO_DEGREES))
    assert (row["reject"], row["utm_east"], row["latitude"], row["apart_m"]) == (None, 545981.19, None, None)


def test_a_utm_position_is_kept_where_both_are_known(name_with: NameWith) -> None:
    (row,) = read(name_with())
    assert utm_of(row) == (545981.19, 4184971.70, 10, "S")
    assert row["apart_m"] < 0.7


NAMES_APART = {  # metres between UTM and latitude/longitude, by hand
    "@0543030.55@4180984.98@10@S@37.775128@-122.51158@31760538811@@@@@@20161226@@.jpg": 19.2,
    "@0545981.19@4184971.70@10@S@037.81098@-122.47762@rtCs5-P_9NGDzUbKyzStWA@@174@@@@201409@@.jpg": 0.35,
    "@0381904.46@3946329.36@54@S@035.65375@0139.69540@00399.jpg@@@@@@@@.jpg": 0.35,
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", NAMES_APART)
def test_how_far_true_positions_are_apart(name: str, strict: bool) -> None:
    (row,) = read(name, strict=strict)
    east, north, *_ = utm.from_latlon(row["latitude"], row["longitude"])
    assert row["apart_m"] == pytest.approx(math.dist((row["utm_east"], row["utm_north"]), (east, north)), abs=1e-6)
    assert row["apart_m"] == pytest.approx(NAMES_APART[name], abs=0.35)
    assert row["reject"] is None


USERS_OWN = "@691383.35@5454712.35@10@S@-0.37194@49.21528@IMG_20230216_134916_0@@-1@@@@@@.jpg"


def test_a_name_that_is_wrong_on_purpose() -> None:
    (row,) = read(USERS_OWN)
    assert reason(row) == (
        "positions disagree: UTM and latitude/longitude are over 1,000 km apart: "
        "latitude and longitude are swapped and the zone is 30, not 10"
    )
    (row,) = read(USERS_OWN, strict=False)
    assert (row["reject"], row["utm_east"], row["utm_north"], row["heading"]) == (None, 691383.35, 5454712.35, None)
    assert row["apart_m"] > 1_000_000


@pytest.mark.parametrize("strict", [True, False])
def test_nordland_has_no_place_to_compare(strict: bool) -> None:
    (row,) = read("@0@00352.3@@@@@148@@@@@@@@.jpg", strict=strict)
    assert (row["reject"], row["utm_east"], row["utm_north"], row["apart_m"]) == (None, 0.0, 352.3, None)


@pytest.mark.parametrize(("metres", "rejected"), [(990, False), (1010, True), (5000, True)])
def test_more_than_a_kilometre_apart(name_with: NameWith, metres: float, rejected: bool) -> None:
    east, north, *_ = utm.from_latlon(37.81098, -122.47762)
    name = name_with(utm_east=f"{east + metres * 0.6:.3f}", utm_north=f"{north - metres * 0.8:.3f}")
    (strict,), (lenient,) = read(name), read(name, strict=False)
    told = f"positions disagree: UTM and latitude/longitude are {metres / 1000:.1f} km apart"
    assert reason(strict) == (told if rejected else None)
    assert lenient["reject"] is None
    assert strict["apart_m"] == lenient["apart_m"] == pytest.approx(metres, abs=0.01)


def test_the_wrong_zone_is_a_reject(name_with: NameWith) -> None:
    rows = read(name_with(utm_zone="11"), name_with(utm_zone="40"))
    assert [row["reject"]["reason"] for row in rows] == ["positions disagree"] * 2


def test_the_wrong_hemisphere_is_a_reject(name_with: NameWith) -> None:
    (row,) = read(name_with(utm_band="H"))
    assert row["reject"]["reason"] == "positions disagree"
    assert row["apart_m"] == pytest.approx(10_000_000, abs=10)


def test_the_wrong_band_in_the_right_hemisphere_is_accepted(name_with: NameWith) -> None:
    (row,) = read(name_with(utm_band="T"))
    assert row["reject"] is None


def test_a_zone_without_a_band_is_compared_by_the_latitude(name_with: NameWith) -> None:
    (row,) = read(name_with(utm_band=""))
    assert row["apart_m"] < 0.7


def test_neighbours_do_not_touch_each_other(name_with: NameWith) -> None:
    """Each position gives the same alone as among others of other zones and hemispheres, and with bad ones."""
    generator = random.Random(2)
    names = [
        name_with(
            utm_east=generator.uniform(-1e6, 2e6),
            utm_north=generator.uniform(-1e6, 1.1e7),
            utm_zone=generator.choice(["", "1", "10", "31", "60"]),
            utm_band=generator.choice(["", "C", "M", "N", "X"]),
            latitude=generator.choice(["", "-0", "0", "-79.9", "84", "90", generator.uniform(-90, 90)]),
            longitude=generator.choice(["", "180", "-180", "0", generator.uniform(-180, 180)]),
            pano_id=number,
        )
        for number in range(60)
    ]
    for together, name in zip(read(*names), names, strict=True):
        (alone,) = read(name)
        assert together.pop("apart_m") == pytest.approx(alone.pop("apart_m"), abs=1e-6)
        assert together == alone


def test_an_image_that_is_a_reject_already_keeps_its_reason(name_with: NameWith) -> None:
    rows = read(name_with(utm_zone="11", heading="nan"), name_with(**NO_UTM, **NO_DEGREES, pitch="x"))
    assert [reason(row) for row in rows] == ["not a number: heading = nan", "not a number: pitch = x"]


def test_crops_of_a_panorama_share_a_position_and_stay_apart(name_with: NameWith) -> None:
    rows = read(*(name_with(heading=30 * crop) for crop in range(12)))
    assert [row["heading"] for row in rows] == [30.0 * crop for crop in range(12)]
    assert len({row["apart_m"] for row in rows}) == 1
