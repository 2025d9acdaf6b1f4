from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.manifest.build_manifest import build_manifest
from pipeline.sources import photo_metadata
from pipeline.sources.make_source import make_source
from pipeline.sources.photo_metadata import read_photo
from pipeline.sources.settings import SourceSettings

MakePhoto = Callable[..., Path]
SOURCE = make_source(SourceSettings(source="exif"))
NORTH = {1: "N", 2: ((48, 1), (51, 1), (216, 100))}  # 48.8506
EAST = {3: "E", 4: ((2, 1), (20, 1), (528, 100))}  # 2.3348
LATITUDE, LONGITUDE = 48 + 51 / 60 + 2.16 / 3600, 2 + 20 / 60 + 5.28 / 3600
HERE = {**NORTH, **EAST}


def described(**properties: str) -> str:
    """XMP with the given properties as attributes."""
    said = " ".join(f'{name.replace("__", "-").replace("_", ":", 1)}="{value}"' for name, value in properties.items())
    return f"<x:xmpmeta><rdf:Description {said}/></x:xmpmeta>"


def manifest_of(folder: Path, strict: bool = True) -> Path:
    return build_manifest(folder, folder.parent / "A", source=SOURCE, strict=strict)


def outcome(make_photo: MakePhoto, folder: Path, strict: bool = True, **photo: Any) -> dict[str, Any]:
    """The row or the reject of one photo, made beside a good one."""
    make_photo(folder / "good.jpg", HERE)
    make_photo(folder / "x.jpg", **photo)
    manifest = manifest_of(folder, strict)
    rows = [row for table in ("manifest", "rejects") for row in read_table(manifest, table).to_dicts()]
    assert len(rows) == 2
    (row,) = (row for row in rows if row["path"] == "x.jpg")
    return row


def position_of(photo: Path) -> tuple[float, float]:
    fields = read_photo(bytes(photo))
    place = float(fields["latitude"]), float(fields["longitude"])
    with Image.open(photo) as image:
        assert photo_metadata.position_of(image) == place
    return place


UNCLEAR: list[tuple[Mapping[int, Any], str]] = [
    ({2: NORTH[2], **EAST}, "N or S is missing"),
    ({**HERE, 1: "\0"}, "N or S is missing"),
    ({**NORTH, 4: EAST[4]}, "E or W is missing"),
    ({**HERE, 1: "E", 3: "N"}, "E is neither N nor S"),
    ({**HERE, 3: "O"}, "O is neither E nor W"),
    ({**HERE, 2: ((48, 1), (0, 0), (216, 100))}, "GPSLatitude = 48.0, 0/0, 2.16 N: not a number"),
    ({**HERE, 2: ((48, 1), (51, 1), (0, 0))}, "not a number"),
    ({**HERE, 2: ((48, 0), (51, 1), (2, 1))}, "GPSLatitude = 48/0, 51.0, 2.0 N: not a number"),
    ({**HERE, 2: ((48, 1), (60, 1), (0, 1))}, "minutes and seconds must be in [0, 60)"),
    ({**HERE, 4: ((2, 1), (20, 1), (99, 1))}, "minutes and seconds must be in [0, 60)"),
    ({**HERE, 2: [(48, 1), (-51, 1), (0, 1)]}, "minutes and seconds must be in [0, 60)"),
    ({**HERE, 2: ((48, 1), (51036, 1000), (216, 100))}, "only the last number may have a fraction"),
    ({**HERE, 2: ((90, 1), (0, 1), (1, 1))}, "more than 90 degrees"),
    ({**HERE, 4: ((180, 1), (1, 1), (0, 1))}, "more than 180 degrees"),
    ({**HERE, 2: [(-48, 1), (51, 1), (0, 1)]}, "a negative number contradicts N"),
    ({**HERE, 2: "48.8506 S"}, "N contradicts S"),
    ({**HERE, 2: "48,51"}, "ambiguous comma: minutes or decimals"),
    ({**HERE, 2: "51' 2\""}, "GPSLatitude = 51' 2\" N: not understood"),
    (NORTH, "GPSLongitude is missing"),
]


@pytest.mark.parametrize(("gps", "why"), UNCLEAR)
def test_an_unclear_position_is_explained(
    make_photo: MakePhoto, tmp_path: Path, gps: Mapping[int, Any], why: str
) -> None:
    fields = read_photo(bytes(make_photo(tmp_path / "x.jpg", gps)))
    with Image.open(tmp_path / "x.jpg") as image:
        assert photo_metadata.position_of(image) is None
    assert "latitude" not in fields
    assert fields["unclear"].endswith(why)


@pytest.mark.parametrize("strict", [True, False])
def test_an_unclear_position_is_a_reject(make_photo: MakePhoto, tmp_path: Path, strict: bool) -> None:
    row = outcome(make_photo, tmp_path / "photos", strict, gps=NORTH)
    assert (row["reason"], row["detail"]) == ("no position", "GPSLongitude is missing")


@pytest.mark.parametrize("gps", [{0: b"\2\3\0\0"}, {0: b"\2\3\0\0", 1: "N", 3: "E"}])
def test_a_photo_without_a_position_is_a_reject(make_photo: MakePhoto, tmp_path: Path, gps: Mapping[int, Any]) -> None:
    row = outcome(make_photo, tmp_path / "photos", gps=gps)
    assert (row["reason"], row["detail"]) == ("no position", "no GPS position in the file")


CLEAR: list[tuple[Mapping[int, Any], tuple[float, float]]] = [
    ({**HERE, 1: "n", 3: " e "}, (LATITUDE, LONGITUDE)),
    ({**HERE, 1: "S\0\0", 3: b"W\0"}, (-LATITUDE, -LONGITUDE)),
    ({**HERE, 1: "South", 3: "WEST"}, (-LATITUDE, -LONGITUDE)),
    ({**HERE, 1: "S", 2: [(-33, 1), (54, 1), (0, 1)]}, (-33.9, LONGITUDE)),
    ({2: [(-339, 10)], 4: [(-184, 10)]}, (-33.9, -18.4)),
    ({**HERE, 2: ((488506, 10000),), 4: ((23348, 10000),)}, (48.8506, 2.3348)),
    ({**HERE, 2: ((48, 1), (51036, 1000)), 4: ((2, 1), (20088, 1000), (0, 1))}, (LATITUDE, LONGITUDE)),
    ({2: "48,51.036N", 4: "2,20.088E"}, (LATITUDE, LONGITUDE)),
    ({2: "48 deg 51' 2.16\" N", 4: "2 deg 20' 5.28\" W"}, (LATITUDE, -LONGITUDE)),
    ({**HERE, 2: "48.8506", 4: "2.3348"}, (48.8506, 2.3348)),
    ({2: "N 48 51 2.16", 4: "2:20:5.28E"}, (LATITUDE, LONGITUDE)),
    ({2: b"-33.9\0", 4: "+18.4"}, (-33.9, 18.4)),
    ({**HERE, 2: ((48, 1), (50, 1), (600000, 10000)), 4: "2 deg 19' 60.00\" E"}, (48 + 51 / 60, 2 + 20 / 60)),
]


@pytest.mark.parametrize(("gps", "place"), CLEAR)
def test_positions_in_several_forms(
    make_photo: MakePhoto, tmp_path: Path, gps: Mapping[int, Any], place: tuple[float, float]
) -> None:
    assert position_of(make_photo(tmp_path / "x.jpg", gps)) == pytest.approx(place, abs=1e-8)


ELEMENTS = (
    "<x:xmpmeta><exif:GPSLatitude>48,51.036N</exif:GPSLatitude><exif:GPSLongitude>\n2,20,5.28W</exif:GPSLongitude>"
)


@pytest.mark.parametrize(
    ("xmp", "place"),
    [
        (described(exif_GPSLatitude="48,51.036N", exif_GPSLongitude="2,20.088W"), (LATITUDE, -LONGITUDE)),
        (
            described(exif_GPSLatitude="48,51.036S", exif_GPSLongitude="2,20.088E").replace('"', "'"),
            (-LATITUDE, LONGITUDE),
        ),
        (described(exif_GPSLatitude="48 deg 51' 2.16&quot; N", exif_GPSLongitude="2 E"), (LATITUDE, 2.0)),
        (ELEMENTS + "</x:xmpmeta>", (LATITUDE, -LONGITUDE)),
        (described(drone__dji_GpsLatitude="48.8506", drone__dji_GpsLongitude="-2.3348"), (48.8506, -2.3348)),
        (described(drone__dji_GpsLatitude="+48.8506", drone__dji_GpsLongtitude="2.3348"), (48.8506, 2.3348)),
    ],
)
def test_a_position_in_xmp_only(make_photo: MakePhoto, tmp_path: Path, xmp: str, place: tuple[float, float]) -> None:
    photo = make_photo(tmp_path / "x.jpg", {2: NORTH[2], **EAST}, xmp=xmp)
    assert position_of(photo) == pytest.approx(place, abs=1e-8)


def test_an_unclear_position_in_xmp_is_explained(make_photo: MakePhoto, tmp_path: Path) -> None:
    xmp = described(exif_GPSLatitude="48,51N", exif_GPSLongitude="2,20E")
    unclear = read_photo(bytes(make_photo(tmp_path / "x.jpg", xmp=xmp)))["unclear"]
    assert unclear == "exif:GPSLatitude = 48,51N: ambiguous comma: minutes or decimals"


def test_timestamps_that_cannot_be_parsed_are_counted(
    make_photo: MakePhoto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    times = ("2021:06:16 13:44:00 PM", "2021:13:45 10:20:30", "2021:02:30 10:20:30", "06/07/2021 10:20", "2021:00:10")
    blank = ("0000:00:00 00:00:00", "    :  :     :  :  ", "")
    for number, taken in enumerate((*times, *blank)):
        make_photo(tmp_path / "photos" / f"{number}.jpg", HERE, {0x9003: taken})
    manifest = manifest_of(tmp_path / "photos")
    assert read_table(manifest, "manifest")["timestamp"].to_list() == [None] * 8
    assert read_recipe(manifest)["summary"]["odd_times"] == len(times)
    assert "photos: 5 with an unreadable timestamp, left out" in caplog.text


@pytest.mark.parametrize(
    ("gps", "heading"),
    [
        ({17: [(-90, 1)]}, 270.0),
        ({17: ((400, 1),)}, 40.0),
        ({17: ((360, 1),)}, 0.0),
        ({17: ((0, 0),)}, None),
        ({17: "90.5"}, 90.5),
        ({17: "unknown"}, None),
    ],
)
def test_directions_follow_the_rules_of_tables(
    make_photo: MakePhoto, tmp_path: Path, gps: Mapping[int, Any], heading: float | None
) -> None:
    row = outcome(make_photo, tmp_path / "photos", gps={**HERE, 16: "T", **gps})
    assert (row["heading"], row["heading_source"]) == (heading, None if heading is None else "exif")


def test_a_direction_in_xmp_only(make_photo: MakePhoto, tmp_path: Path) -> None:
    xmp = described(exif_GPSImgDirection="9050/100", exif_GPSImgDirectionRef="M")
    fields = read_photo(bytes(make_photo(tmp_path / "x.jpg", HERE, xmp=xmp)))
    assert (fields["heading"], fields["heading_source"], fields["heading_reference"]) == ("90.5", "xmp", "magnetic")


@pytest.mark.parametrize(
    ("pose", "direction", "note"),
    [
        ("0.0", (90, 1), "equirectangular; GPano heading 0, GPSImgDirection 90.0"),
        ("0", (0, 1), "equirectangular"),
        ("0", (360, 1), "equirectangular"),
        ("0.5", (90, 1), "equirectangular"),
        ("0", (0, 0), "equirectangular"),
    ],
)
def test_a_pose_of_exactly_north_beside_another_direction_gets_a_note(
    make_photo: MakePhoto, tmp_path: Path, pose: str, direction: tuple[int, int], note: str
) -> None:
    xmp = described(GPano_ProjectionType="equirectangular", GPano_PoseHeadingDegrees=pose)
    fields = read_photo(bytes(make_photo(tmp_path / "x.jpg", {**HERE, 17: (direction,)}, xmp=xmp)))
    assert (fields["note"], float(fields["heading"])) == (note, float(pose))
