from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from pipeline.metadata.read_names import parse_names
from pipeline.metadata.rejects import Reason
from tests.pipeline.conftest import write

NameWith = Callable[..., str]
BY_THE_RULE = tuple(name for name in schemas.MANIFEST.names if name != "path")


def parse(path: str, strict: bool = True) -> dict[str, Any]:
    rows = parse_names(pl.DataFrame({"path": [path]}), strict)
    return rows.select(*schemas.MANIFEST.names, "reject").row(0, named=True)


def reason(path: str, strict: bool = True) -> str | None:
    reject = parse(path, strict)["reject"]
    return None if reject is None else f"{reject['reason']}: {reject['detail']}"


def by_plain_python(name: str) -> dict[str, Any]:
    """The fields of a usable name, worked out without polars."""
    _, east, north, zone, band, latitude, longitude, pano, tile, heading, pitch, roll, height, when, note, _ = (
        name.split("@")
    )
    numbers = {"utm_east": east, "utm_north": north, "latitude": latitude, "longitude": longitude}
    numbers |= {"heading": heading, "pitch": pitch, "roll": roll, "height": height}
    row: dict[str, Any] = {key: float(text) if text else None for key, text in numbers.items()}
    row["heading"] = None if row["heading"] in (None, -1) else row["heading"] % 360
    row["utm_zone"] = int(zone) if zone else None
    texts = {"utm_band": band, "pano_id": pano, "tile_num": tile, "timestamp": when, "note": note}
    row |= {key: text or None for key, text in texts.items()}
    row |= {"heading_source": None, "heading_reference": None}  # of which a name says nothing
    return {**row, "year": int(when[:4]) if when else None, "month": int(when[4:6]) if when[4:6] else None}


GOOD_NAMES = [
    "@0545981.19@4184971.70@10@S@037.81098@-122.47762@rtCs5-P_9NGDzUbKyzStWA@@174@@@@201409@@.jpg",
    "@0544388.51@4172758.25@10@S@037.70098@-122.49646@kPnABhWJ1kA61eMNPLs1vQ@@210@@@@201606@@.jpg",
    "@0544204.32@4173406.33@10@S@037.70683@-122.49851@TYcjxIohRl--XFaR4OgdxA@@0@@@@201910@@.jpg",
    "@0543037.38@4180974.80@10@S@037.77510@-122.51130@1ooZhwTQyuNt0xiue5YhLg@@134@@@@201311@@.jpg",
    "@0543194.44@4181590.30@10@S@037.78064@-122.50948@eCTaveq9DNYVSPZwEAfgAw@@352@@@@201312@@.jpg",
    "@0543158.27@4180593.76@10@S@037.77166@-122.50995@M7mOh9X4Xw_OHp-DYe5hQg@@206@@@@201311@@.jpg",
    "@0543030.55@4180984.98@10@S@37.775128@-122.51158@31760538811@@@@@@20161226@@.jpg",
    "@0550313.87@4184192.09@10@S@037.80373@-122.42845@14666@00@089@003@@@@@.jpg",
    "@0381904.46@3946329.36@54@S@035.65375@0139.69540@00399.jpg@@@@@@@@.jpg",
    "@0@00352.3@@@@@148@@@@@@@@.jpg",
    "@691383.35@5454712.35@10@S@-0.37194@49.21528@IMG_20230216_134916_0@@-1@@@@@@.jpg",
]
MANGLED = "@0549678.37@4180874.60@10@S@037.77386@-122.43590@bZ1VXzxFCSKi9wcz8H5pZA0@201311.jpg"


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", GOOD_NAMES)
def test_names_of_sf_xl_and_others(name: str, strict: bool) -> None:
    row = parse(f"train/37.70/{name}", strict)
    assert row["reject"] is None
    assert {column: row[column] for column in BY_THE_RULE} == by_plain_python(name)


def test_a_name_written_out() -> None:
    assert parse(GOOD_NAMES[7]) == {
        **{"path": GOOD_NAMES[7], "utm_east": 550313.87, "utm_north": 4184192.09, "utm_zone": 10, "utm_band": "S"},
        **{"latitude": 37.80373, "longitude": -122.42845, "pano_id": "14666", "tile_num": "00", "heading": 89.0},
        **{"pitch": 3.0, "roll": None, "height": None, "timestamp": None, "year": None, "month": None, "note": None},
        **{"heading_source": None, "heading_reference": None, "reject": None},
    }


def test_a_name_with_9_fields_is_a_reject_for_training_only() -> None:
    assert reason(MANGLED) == "wrong number of fields: 9 fields, expected 16"
    row = parse(MANGLED, strict=False)
    assert (row["reject"], row["utm_east"], row["utm_north"], row["utm_zone"]) == (None, 549678.37, 4180874.60, 10)
    assert (row["pano_id"], row["heading"], row["timestamp"]) == ("bZ1VXzxFCSKi9wcz8H5pZA0", None, None)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("photo.jpg", "wrong number of fields: 1 fields, expected 16"),
        ("@545981.19.jpg", "wrong number of fields: 2 fields, expected 16"),
        ("@.jpg", "wrong number of fields: 2 fields, expected 16"),
        ("x" + GOOD_NAMES[0], "wrong number of fields: x before the first @"),
        (".jpg", "wrong number of fields: 1 fields, expected 16"),
        ("", "not an image name: expected .jpg, .jpeg, .png, .heic, .heif"),
        (GOOD_NAMES[0].replace(".jpg", ".txt"), "not an image name: expected .jpg, .jpeg, .png, .heic, .heif"),
        (GOOD_NAMES[0] + "/", "not an image name: expected .jpg, .jpeg, .png, .heic, .heif"),
        (GOOD_NAMES[0] + " ", "not an image name: expected .jpg, .jpeg, .png, .heic, .heif"),
        (GOOD_NAMES[0].replace(".jpg", ""), "not an image name: expected .jpg, .jpeg, .png, .heic, .heif"),
        (GOOD_NAMES[0].replace(".jpg", "jpg"), "not an image name: expected .jpg, .jpeg, .png, .heic, .heif"),
    ],
)
def test_other_names_are_rejects(name: str, expected: str, strict: bool) -> None:
    assert reason(name, strict) == expected


@pytest.mark.parametrize("extension", [".jpg", ".JPG", ".Jpeg", ".PNG", ".png"])
def test_extensions_of_any_case(name_with: NameWith, extension: str) -> None:
    assert reason(name_with(extension=extension)) is None


@pytest.mark.parametrize(
    "folder", ["@home", "a@b@c", "@1@2@3@4@5@6@7@8@9@10@11@12@13@14@15", "ä ö/%41", "..a", "a..", "..."]
)
def test_a_folder_may_be_called_anything(folder: str) -> None:
    path = f"{folder}/{GOOD_NAMES[0]}"
    assert parse(path)["path"] == path
    assert parse(path)["utm_east"] == 545981.19
    assert reason(path) is None


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "folder", ["/", "/data/", "../", "a/../", "a/../../", "C:/", r"C:\\", "z:/a/", "./../", "//host/share/"]
)
def test_paths_that_lead_out_of_the_folder(folder: str, strict: bool) -> None:
    assert reason(folder + GOOD_NAMES[0], strict) == f"unsafe path: {folder}{GOOD_NAMES[0]}"


def test_an_unsafe_path_is_the_first_reason() -> None:
    assert reason("a/..") == "unsafe path: a/.."
    assert reason("../photo.txt") == "unsafe path: ../photo.txt"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", None),
        ("-1", None),  # unknown, as some write it
        ("-1.0", None),
        ("0", 0.0),
        ("000", 0.0),
        ("-0", 0.0),
        ("089", 89.0),
        ("174", 174.0),
        ("359.99", 359.99),
        ("360", 0.0),
        ("360.0", 0.0),
        ("360.5", 0.5),
        ("372", 12.0),
        ("450", 90.0),
        ("-90", 270.0),
        ("-180", 180.0),
        ("-360", 0.0),
        ("450.5", None),  # from here on far outside a turn
        ("511", None),
        ("720", None),
        ("999", None),
        ("9999", None),
        ("32767", None),
        ("65535", None),
        ("-360.5", None),
        ("-999", None),
        ("-9999", None),
        ("-32768", None),
        ("-2", 358.0),
        ("-1e-18", 0.0),  # the modulo rounds up to 360
        ("1e3", None),
        ("1e300", None),
        ("+5", 5.0),
    ],
)
def test_headings(name_with: NameWith, written: str, expected: float | None) -> None:
    row = parse(name_with(heading=written))
    assert row["reject"] is None
    assert row["heading"] == expected
    assert expected is None or 0 <= row["heading"] < 360


NO_NUMBERS = ["nan", "NaN", "inf", "-inf", "infinity", "1_0", "0x10", "1e400", "12,5", " 5", "5 ", "--5", "five", "٣"]


@pytest.mark.parametrize("written", NO_NUMBERS)
@pytest.mark.parametrize("field", ["heading", "pitch", "roll", "height", "latitude", "longitude"])
def test_fields_that_are_not_numbers_are_rejects(name_with: NameWith, field: str, written: str) -> None:
    assert reason(name_with(**{field: written})) == f"not a number: {field} = {written}"
    row = parse(name_with(**{field: written}), strict=False)
    assert (row["reject"], row[field]) == (None, None)


@pytest.mark.parametrize("written", NO_NUMBERS)
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("field", ["utm_east", "utm_north"])
def test_a_utm_position_that_is_not_a_number_is_a_reject(
    name_with: NameWith, field: str, strict: bool, written: str
) -> None:
    assert reason(name_with(**{field: written}), strict) == f"not a number: {field} = {written}"


@pytest.mark.parametrize(
    ("field", "written", "expected"),
    [
        ("utm_zone", "7.5", "not a number: utm_zone = 7.5"),
        ("utm_zone", "1_0", "not a number: utm_zone = 1_0"),
        ("utm_zone", "S", "not a number: utm_zone = S"),
        ("utm_zone", "99999999999999999999", "not a number: utm_zone = 99999999999999999999"),
        ("utm_zone", "0", "out of range: utm_zone = 0"),
        ("utm_zone", "61", "out of range: utm_zone = 61"),
        ("utm_zone", "-10", "out of range: utm_zone = -10"),
        ("utm_zone", "300", "out of range: utm_zone = 300"),  # more than 8 bits hold
        ("latitude", "90.001", "out of range: latitude = 90.001"),
        ("latitude", "-122.47762", "out of range: latitude = -122.47762"),
        ("longitude", "180.001", "out of range: longitude = 180.001"),
        ("longitude", "-181", "out of range: longitude = -181"),
        ("utm_band", "I", "out of range: utm_band = I"),
        ("utm_band", "O", "out of range: utm_band = O"),
        ("utm_band", "A", "out of range: utm_band = A"),
        ("utm_band", "Z", "out of range: utm_band = Z"),
        ("utm_band", "10", "out of range: utm_band = 10"),
        ("utm_band", "SS", "out of range: utm_band = SS"),
    ],
)
def test_impossible_fields_are_rejects_for_training_and_null_elsewhere(
    name_with: NameWith, field: str, written: str, expected: str
) -> None:
    assert reason(name_with(**{field: written})) == expected
    row = parse(name_with(**{field: written}), strict=False)
    assert (row["reject"], row[field]) == (None, None)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("field", ["utm_east", "utm_north"])
def test_a_position_further_away_than_the_earth_is_large(name_with: NameWith, field: str, strict: bool) -> None:
    assert reason(name_with(**{field: "1e30"}), strict) == f"out of range: {field} = 1e30"
    assert reason(name_with(**{field: "-1.1e8"}), strict) == f"out of range: {field} = -1.1e8"
    in_no_zone = {field: "-12345678.9", "utm_zone": ""}
    assert reason(name_with(**in_no_zone), strict) is None


@pytest.mark.parametrize(("written", "expected"), [("s", "S"), ("S", "S"), ("n", "N"), ("", None)])
def test_bands(name_with: NameWith, written: str, expected: str | None) -> None:
    row = parse(name_with(utm_band=written))
    assert (row["reject"], row["utm_band"]) == (None, expected)


@pytest.mark.parametrize("edge", [("1", "C"), ("60", "X"), ("07", "N")])
def test_zones_at_the_edge(name_with: NameWith, edge: tuple[str, str]) -> None:
    row = parse(name_with(utm_zone=edge[0], utm_band=edge[1]))
    assert (row["reject"], row["utm_zone"], row["utm_band"]) == (None, int(edge[0]), edge[1])


@pytest.mark.parametrize(
    ("written", "year", "month"),
    [
        ("", None, None),
        ("2014", 2014, None),
        ("20140", 2014, None),
        ("201409", 2014, 9),
        ("2014091", 2014, 9),
        ("20140912", 2014, 9),
        ("20140912_1", 2014, 9),
        ("20140912_101112", 2014, 9),
        ("201400", 2014, None),
        ("201413", 2014, None),
        ("20141", 2014, None),
        ("2014-09-12", 2014, None),
        ("201", None, None),
        ("0000", None, None),
        ("000001", None, 1),
        ("9999", 9999, None),
        ("x201409", None, None),
        ("unknown", None, None),
        ("٢٠١٤٠٩", None, None),  # digits, but of another script
        ("2014\u0660\u0669", 2014, None),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_timestamps(name_with: NameWith, written: str, year: int | None, month: int | None, strict: bool) -> None:
    row = parse(name_with(timestamp=written), strict)
    assert (row["reject"], row["timestamp"], row["year"], row["month"]) == (None, written or None, year, month)


def test_texts_are_kept_as_written(name_with: NameWith) -> None:
    row = parse(name_with(pano_id="00399.jpg", tile_num="00", note="day_forward_city"))
    assert (row["pano_id"], row["tile_num"], row["note"]) == ("00399.jpg", "00", "day_forward_city")
    assert parse(name_with(pano_id="None"))["pano_id"] == "None"


def test_the_first_of_several_reasons_is_given(name_with: NameWith) -> None:
    assert reason("../" + MANGLED.replace(".jpg", ".txt")) == f"unsafe path: ../{MANGLED.replace('.jpg', '.txt')}"
    assert reason(name_with(utm_zone="x", heading="y")) == "not a number: utm_zone = x"


def test_one_bad_name_does_not_touch_the_others() -> None:
    paths = [*GOOD_NAMES, MANGLED, "photo.jpg", "", "../x"]
    together = parse_names(pl.DataFrame({"path": paths}), strict=True)
    assert together.select(*schemas.MANIFEST.names, "reject").rows() == [tuple(parse(path).values()) for path in paths]


def test_reasons_are_as_documented() -> None:
    assert {reason.value for reason in Reason} >= {
        *("wrong number of fields", "no position", "not a number", "not UTF-8", "unsafe path")
    }


# Names with fewer or more than 16 fields.
POSITION: dict[str, Any] = {"utm_east": 545981.19, "utm_north": 4184971.70}
ZONE = {**POSITION, "utm_zone": 10, "utm_band": "S"}
DEGREES = {**ZONE, "latitude": 37.81098, "longitude": -122.47762}
SHORT: dict[str, tuple[dict[str, Any], bool]] = {  # what is read, and whether training takes it
    "@545981.19@4184971.70@.jpg": (POSITION, True),
    "@0545981.19@4184971.70@.PNG": (POSITION, True),
    "@545981.19@4184971.70.jpg": (POSITION, False),
    "@545981.19@4184971.70@10@.jpeg": ({**POSITION, "utm_zone": 10}, True),
    "@545981.19@4184971.70@10@S@.jpg": (ZONE, True),
    "@545981.19@4184971.70@10@S.jpg": (ZONE, False),
    "@545981.19@4184971.70@10@S@37.81098@-122.47762@.jpg": (DEGREES, True),
    "@545981.19@4184971.70@10@S@37.81098@-122.47762.jpg": (DEGREES, False),
    "@545981.19@4184971.70@10@S@37.81098@-122.47762@pano@.jpg": ({**DEGREES, "pano_id": "pano"}, False),
    "@545981.19@4184971.70@10@S@37.81098@-122.47762@pano@@174.jpg": ({**DEGREES, "heading": 174}, False),
    "@545981.19@4184971.70@query 12.jpg": (POSITION, False),
    "@545981.19@4184971.70@12.jpg": ({**POSITION, "utm_zone": None}, False),  # a number of the query
    "@545981.19@4184971.70@12@345@.jpg": ({**POSITION, "utm_zone": None, "utm_band": None}, False),
    "@545981.19@4184971.70@query@from@a@phone@.jpg": (POSITION, False),
    "@545981.19@4184971.70@@@@@@@30@@@@201409@@x@y@z.jpg": ({**POSITION, "heading": 30, "year": 2014}, False),
    "@545981.19@4184971.70@@@@@@@30@@@@201409@@@.jpg": ({**POSITION, "heading": 30, "year": 2014}, False),
    "@545981.19@4184971.70@.jpg@.jpg": (POSITION, False),
    MANGLED: ({"utm_east": 549678.37, "utm_north": 4180874.60, "pano_id": "bZ1VXzxFCSKi9wcz8H5pZA0"}, False),
}
NO_POSITION = ["@.jpg", "@545981.19.jpg", "@545981.19@.jpg", "@@@.jpg", "@x@4184971.70@.jpg", "@545981.19@y.jpg"]


def build(tmp_path: Path, *names: str, strict: bool, folder: str = "set") -> tuple[dict[str, Any], dict[str, str]]:
    write(tmp_path / folder, *names)
    manifest = build_manifest(tmp_path / folder, tmp_path / "A", strict=strict)
    rejects = {row["path"]: f"{row['reason']}: {row['detail']}" for row in read_table(manifest, "rejects").to_dicts()}
    return {row["path"]: row for row in read_table(manifest, "manifest").to_dicts()}, rejects


@pytest.mark.parametrize("folder", ["set", "a@1@2@3@4@5@6@7@8@9@10@11@12@13@14"])
def test_a_test_set_takes_them_by_their_position(tmp_path: Path, folder: str, name_with: NameWith) -> None:
    images, rejects = build(tmp_path, *SHORT, name_with(), *NO_POSITION, strict=False, folder=folder)
    assert set(images) == {*SHORT, name_with()}
    assert set(rejects) == set(NO_POSITION)
    for name, (expected, _) in SHORT.items():
        assert {field: images[name][field] for field in expected} == expected
        others = {"heading", "year", "latitude"} - expected.keys()
        assert name == MANGLED or all(images[name][field] is None for field in others)


def test_in_folders_with_an_at_they_are_read_alike(tmp_path: Path) -> None:
    """As many @ in the whole path as a usual name has."""
    paths = [f"x/{'@' * (15 - name.count('@'))}/{name}" for name in SHORT if name.count("@") < 15]
    paths += [path.replace("x/", "y/") for path in paths]
    (tmp_path / "set_images_paths.txt").write_text("\n".join(paths))
    manifest = build_manifest(tmp_path / "set", tmp_path / "A", strict=False)
    rows = {row["path"]: row for row in read_table(manifest, "manifest").to_dicts()}
    assert set(rows) == set(paths)
    for path in paths:
        expected, _ = SHORT[path.rpartition("/")[2]]
        assert {field: rows[path][field] for field in expected} == expected


def test_training_takes_those_that_end_after_their_position(tmp_path: Path, name_with: NameWith) -> None:
    images, rejects = build(tmp_path, *SHORT, name_with(), strict=True)
    assert set(images) == {name for name, (_, usable) in SHORT.items() if usable} | {name_with()}
    assert rejects[MANGLED] == "wrong number of fields: 9 fields, expected 16"
    others = {path: text for path, text in rejects.items() if not text.startswith("wrong number of fields: ")}
    assert others == {
        "@545981.19@4184971.70@.jpg@.jpg": "not a number: utm_zone = .jpg",
        "@545981.19@4184971.70@12@345@.jpg": "out of range: utm_band = 345",
        "@545981.19@4184971.70@query@from@a@phone@.jpg": "not a number: latitude = a",
    }


def test_training_by_cells_needs_no_heading(tmp_path: Path) -> None:
    write(tmp_path / "train", *(f"@545981.{number}@4184971.70@10@S@.jpg" for number in range(10)))
    manifest = build_manifest(tmp_path / "train", tmp_path / "A")
    classes = read_table(build_groups(manifest, tmp_path / "A", GroupSettings(alpha=360, L=1)), "classes")
    assert classes["num_images"].to_list() == [10]
    with pytest.raises(UserError, match="none of the 10 images has a heading"):
        build_groups(manifest, tmp_path / "A")


def test_many_short_names_among_others(tmp_path: Path, name_with: NameWith) -> None:
    names = [f"@{545_000 + number}.5@4184971.70@.jpg" for number in range(300)]
    names += [name_with(pano_id=number, heading=number) for number in range(300)]
    images, rejects = build(tmp_path, *names, strict=False)
    assert (len(images), rejects) == (600, {})
    short = pl.DataFrame([images[name] for name in names[:300]])
    assert short["utm_east"].to_list() == [545_000.5 + number for number in range(300)]
    assert [images[name]["heading"] for name in names[300:]] == list(range(300))
