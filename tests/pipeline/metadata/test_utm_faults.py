"""UTM positions that cannot be: rejects of training with the likely mistake, kept and counted in test sets."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import utm

from data_manifest.errors import UserError
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.manifest.build_manifest import build_manifest
from pipeline.metadata import utm_faults
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
from tests.pipeline.conftest import write

NameWith = Callable[..., str]
MUNICH = (691608.9, 5334750.2, 32, "U")
SYDNEY = (334368.6, 6250948.3, 56, "H")
QUITO = (779000.0, 9980000.0, 17, "M")
SINGAPORE = (372000.0, 143000.0, 48, "N")

WRONG = [
    ((5334750.2, 691608.9, 32, "U"), utm_faults.SWAPPED),
    ((6250948.3, 334368.6, 56, "H"), utm_faults.SWAPPED),
    ((4181000.0, 550000.0, 10, ""), utm_faults.SWAPPED),
    ((-3749051.7, 334368.6, 56, "H"), utm_faults.SWAPPED),
    ((334368.6, -3749051.7, 56, "H"), utm_faults.NO_FALSE_NORTHING),
    ((334368.6, -3749051.7, 56, ""), utm_faults.NO_FALSE_NORTHING),
    ((334368.6, -3749051.7, 56, "S"), utm_faults.NO_FALSE_NORTHING),
    ((779000.0, -20000.0, 17, "M"), utm_faults.NO_FALSE_NORTHING),
    ((691.6089, 5334.7502, 32, "U"), utm_faults.KILOMETRES),
    ((5334.7502, 691.6089, 32, "U"), utm_faults.KILOMETRES),
    ((48.1374, 11.5755, 32, "U"), utm_faults.DEGREES),
    ((-122.4776, 37.8109, 10, "S"), utm_faults.DEGREES),
    ((32691608.9, 5334750.2, 32, "U"), utm_faults.ZONE_IN_EASTING),
    ((3691608.9, 5334750.2, 3, ""), utm_faults.ZONE_IN_EASTING),
    ((69160890.0, 5334750.2, 32, "U"), utm_faults.BAD_EASTING),
    ((-500000.0, 5334750.2, 32, "U"), utm_faults.BAD_EASTING),
    ((-500000.0, 550000.0, 32, "N"), utm_faults.BAD_EASTING),
    ((1288593.0, 6129702.0, 32, "U"), utm_faults.BAD_EASTING),  # web Mercator
    ((691608.9, 15334750.2, 32, "U"), utm_faults.BAD_NORTHING),
    ((691608.9, 53347502.0, 32, ""), utm_faults.BAD_NORTHING),
    ((691608.9, -15334750.2, 32, ""), utm_faults.BAD_NORTHING),
    ((691608.9, 5334750.2, 32, "C"), utm_faults.OTHER_BAND),
    ((691608.9, 5334750.2, 32, "X"), utm_faults.OTHER_BAND),
    ((691608.9, 5334750.2, 32, "R"), utm_faults.OTHER_BAND),
    ((334368.6, 3749051.7, 56, "H"), utm_faults.OTHER_BAND),  # metres south of the equator
    ((334368.6, 10050000.0, 56, "U"), utm_faults.OTHER_BAND),
]
RIGHT = [
    *(MUNICH, SYDNEY, QUITO, SINGAPORE),
    (MUNICH[0], MUNICH[1], 32, ""),
    (MUNICH[0], MUNICH[1], 32, "T"),  # the band beside it
    (MUNICH[0], MUNICH[1], 32, "N"),  # the hemisphere
    (SYDNEY[0], SYDNEY[1], 56, "S"),
    (-32567.0, 6732000.0, 33, "V"),  # Bergen, on maps of all Norway
    (1098000.0, 7870000.0, 33, "W"),  # Vardo, likewise
    (779000.0, -20000.0, 17, "N"),  # Quito in the frame of the north
    (372000.0, 10143000.0, 48, "M"),  # Singapore in that of the south
    (500000.0, 9328094.0, 33, "X"),
    (500000.0, 1118000.0, 33, "C"),
    (5334750.2, 691608.9, "", "U"),  # without a zone anything may be meant
    (0, 352.3, "", ""),
]


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    """Build the manifest of images with the given positions, from their names or from a table."""

    def build(positions: list[tuple[Any, ...]], source: str = "names", strict: bool = True) -> Path:
        images = tmp_path / source
        if source == "names":
            names = [f"@{'@'.join(map(str, each))}@@@{number}@@@@@@@@.jpg" for number, each in enumerate(positions)]
            write(images, *names)
            return build_manifest(images, tmp_path / "A", source, strict)
        write(images, *(f"{number}.jpg" for number in range(len(positions))))
        rows = [f"{number}.jpg,{','.join(map(str, each))}" for number, each in enumerate(positions)]
        table = tmp_path / "photos.csv"
        table.write_text("\n".join(["path,easting,northing,zone,band", *rows]))
        options = SourceSettings(source="table", table=table)
        return build_manifest(images, tmp_path / "A", source, strict, source=make_source(options))

    return build


@pytest.mark.parametrize("source", ["names", "table"])
def test_impossible_positions_are_rejected_with_the_likely_mistake(source: str, build: Callable[..., Path]) -> None:
    rejects = read_table(build([*(position for position, _ in WRONG), MUNICH], source), "rejects")
    assert set(rejects["reason"]) == {"out of range"}
    assert sorted(rejects["detail"]) == sorted(
        f"utm_east = {east}, utm_north = {north}, zone {zone}{band}: {fault}"
        for (east, north, zone, band), fault in WRONG
    )


@pytest.mark.parametrize("source", ["names", "table"])
def test_possible_positions_are_kept(source: str, build: Callable[..., Path]) -> None:
    manifest = build(RIGHT, source)
    assert read_table(manifest, "rejects").is_empty()
    assert len(read_table(manifest, "manifest")) == len(RIGHT)


def test_positions_anywhere_on_earth_are_kept(build: Callable[..., Path]) -> None:
    places = [(latitude, longitude) for latitude in range(-80, 85, 4) for longitude in range(-180, 180, 13)]
    positions = [utm.from_latlon(*place) for place in places]
    assert read_table(build(positions), "rejects").is_empty()
    assert read_table(build([(*each[:3], "") for each in positions], "table"), "rejects").is_empty()


@pytest.mark.parametrize("source", ["names", "table"])
def test_a_test_set_keeps_them_with_a_warning(
    source: str, build: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    positions = [(5334750.2 + number, 691608.9, 32, "U") for number in range(3)] + [(0, 352.3, "", ""), MUNICH]
    manifest = build(positions, source, strict=False)
    assert len(read_table(manifest, "manifest")) == 5
    assert read_recipe(manifest)["summary"]["UTM kept"]["easting and northing are swapped"] == 3
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    text = "3 images kept with a UTM position that cannot be in its zone: easting and northing are swapped"
    assert warnings == [f"{source}: {text}"]


def test_a_position_that_latitude_and_longitude_confirm_keeps_its_band(tmp_path: Path, name_with: NameWith) -> None:
    write(tmp_path / "train", name_with(utm_band="N", pano_id=1), name_with(utm_band="Q", pano_id=2))
    manifest = build_manifest(tmp_path / "train", tmp_path / "A")
    assert read_table(manifest, "manifest")["utm_band"].to_list() == ["N", "Q"]


@pytest.mark.parametrize(
    ("latitude", "longitude", "swapped"),
    [("-122.47762", "37.81098", True), ("151.2", "-33.9", True), ("488.5", "23.3", False), ("91", "120", False)],
)
def test_degrees_are_called_swapped_only_where_the_other_order_could_be(
    latitude: str, longitude: str, swapped: bool, tmp_path: Path, name_with: NameWith
) -> None:
    names = [name_with(latitude=latitude, longitude=longitude), name_with(pano_id="good")]
    write(tmp_path / "train", *names)
    (detail,) = read_table(build_manifest(tmp_path / "train", tmp_path / "A"), "rejects")["detail"]
    together = f"latitude = {latitude}, longitude = {longitude}: the two are swapped"
    assert detail == (together if swapped else f"latitude = {latitude}")
    write(tmp_path / "photos", "1.jpg")
    table = tmp_path / "photos.csv"
    table.write_text(f"path;lat;lon\n1.jpg;{latitude};{longitude}\n")
    source = make_source(SourceSettings(source="table", table=table))
    with pytest.raises(UserError) as error:
        build_manifest(tmp_path / "photos", tmp_path / "A", source=source)
    assert ("swapped" in str(error.value)) == swapped
    assert f"latitude = {float(latitude):g}" in str(error.value)
