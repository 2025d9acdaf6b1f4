import polars as pl
import pytest
import utm

from pipeline.sources.table_rows import with_zones_and_bands

CAPE, SAN_FRANCISCO, PARIS, KUALA_LUMPUR = (-33.92, 18.42), (37.70098, -122.49646), (48.85, 2.33), (3.1, 101.6)


def zone_and_band(zone: str, band: str, east: object = "", north: object = "", latitude: object = "") -> list[str]:
    row = {"utm_zone": zone, "utm_band": band, "utm_east": east, "utm_north": north, "latitude": latitude}
    rows = pl.DataFrame({name: [str(value)] for name, value in row.items()})
    return list(with_zones_and_bands(rows).row(0)[:2])


@pytest.mark.parametrize(
    ("zone", "band", "expected"),
    [
        ("33", "", ["33", ""]),
        ("33", "u", ["33", "U"]),
        ("33.0", "U", ["33", "U"]),
        ("33u", "", ["33", "U"]),
        ("33 U", "T", ["33", "T"]),
        ("x", "", ["x", ""]),
        ("", "", ["", ""]),
        ("10", "N", ["10", "N"]),  # without metres the letter is the band
    ],
)
def test_zone_and_band_are_split(zone: str, band: str, expected: list[str]) -> None:
    assert zone_and_band(zone, band) == expected


@pytest.mark.parametrize("with_latitude", [True, False])
@pytest.mark.parametrize(
    ("place", "zone", "letter", "band"),
    [
        (CAPE, "34S", "", "H"),
        (CAPE, "34H", "", "H"),
        (CAPE, "34.0", "S", "H"),
        (SAN_FRANCISCO, "10S", "", "S"),
        (SAN_FRANCISCO, "10N", "", "S"),
        (SAN_FRANCISCO, "10 s", "", "S"),
        (PARIS, "31N", "", "U"),
        (KUALA_LUMPUR, "47N", "", "N"),
    ],
)
def test_n_or_s_is_a_hemisphere_unless_the_band_fits(
    place: tuple[float, float], zone: str, letter: str, band: str, with_latitude: bool
) -> None:
    east, north, number, _ = utm.from_latlon(*place)
    latitude = place[0] if with_latitude else ""
    assert zone_and_band(zone, letter, east, north, latitude) == [str(number), band]


def test_impossible_metres_keep_the_letter() -> None:
    assert zone_and_band("33", "S", 1e9, 1e9) == ["33", "S"]
