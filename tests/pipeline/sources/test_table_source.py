from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import utm

from data_manifest.errors import UserError
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.manifest.build_manifest import build_manifest
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
from tests.pipeline.conftest import write

Build = Callable[..., Path]


def rejects(folder: Path) -> dict[str, str]:
    return {row["path"]: f"{row['reason']}: {row['detail']}" for row in read_table(folder, "rejects").to_dicts()}


def test_a_row_becomes_a_manifest_row(build: Build) -> None:
    folder = build(
        "path,latitude,longitude,heading,timestamp,pano_id,heading_reference\n"
        "a/1.jpg,48.8506,2.3348,-10,2014-06-16T10:20:30Z,p_1,M\n"
    )
    east, north, zone, band = utm.from_latlon(48.8506, 2.3348)
    row = read_table(folder, "manifest").row(0, named=True)
    assert (row["utm_east"], row["utm_north"]) == pytest.approx((east, north), abs=1e-6)
    assert {key: value for key, value in row.items() if value is not None and not key.startswith("utm_e")} == {
        **{"path": "a/1.jpg", "utm_north": row["utm_north"], "utm_zone": zone, "utm_band": band},
        **{"latitude": 48.8506, "longitude": 2.3348, "heading": 350.0, "heading_source": "table"},
        **{"heading_reference": "magnetic", "timestamp": "20140616_102030", "year": 2014, "month": 6, "pano_id": "p_1"},
    }
    assert rejects(folder) == dict.fromkeys(
        ("a/2.jpg", "b/3.JPG", "b/4.png"), "not in the table: no row with this path"
    )


def test_rows_files_and_rejects_add_up(build: Build) -> None:
    folder = build(
        "file;Lat;Lng\n"
        "./a/1.jpg;48,85;2,33\n"
        "a\\2.jpg;north;2.33\n"
        "b/3.JPG;48.85;2.33\nb/3.JPG;48.86;2.33\n"
        "gone/9.jpg;48.85;2.33\n"
        "b/4.png;48.85;2.33\nb/4.png;48.85;2.33\n"
    )
    assert set(read_table(folder, "manifest")["path"]) == {"a/1.jpg", "b/4.png"}
    assert rejects(folder) == {
        "a/2.jpg": "not a number: latitude = north",
        "b/3.JPG": "rows disagree: 2 rows differ in latitude",
        "gone/9.jpg": "no such file: in the table, but not in the images folder",
    }
    assert read_recipe(folder)["summary"]["files"] == 5


def test_utm_with_zone_and_band_in_one_and_mapped_columns(build: Build) -> None:
    folder = build("x,e,n,z\na/1.jpg,450847.6,5410996.1,31U\n", columns="utm_zone=z,utm_east=e, path=x,utm_north=n")
    row = read_table(folder, "manifest").row(0, named=True)
    assert (row["utm_east"], row["utm_zone"], row["utm_band"], row["heading_source"]) == (450847.6, 31, "U", None)


def test_rows_without_a_position_or_a_file_are_rejects(build: Build) -> None:
    found = rejects(build("path,lat,lon\na/1.jpg,0,0\n../a/1.jpg,1,2\n/etc/x.jpg,1,2\n,1,2\na/2.jpg,1,2\n"))
    outside = "no such file: in the table, but not in the images folder"
    assert {path: detail for path, detail in found.items() if "not in the table" not in detail} == {
        "a/1.jpg": "no position: latitude 0, longitude 0: usually an unknown position",
        "../a/1.jpg": outside,
        "/etc/x.jpg": outside,
        "": "no such file: the row has no path",
    }


# One table for all of the Earth: zones, hemispheres, the exceptions of Norway and Svalbard, and the poles.
PLACES = {"a/1.jpg": (60.39, 5.32), "a/2.jpg": (-33.92, 18.42), "b/3.JPG": (78.22, 15.65), "b/4.png": (-89.99, 0.0)}


def test_any_zone_and_no_pole(build: Build) -> None:
    folder = build("path,lat,lon\n" + "".join(f"{path},{lat},{lon}\n" for path, (lat, lon) in PLACES.items()))
    rows = {row["path"]: row for row in read_table(folder, "manifest").to_dicts()}
    for path, row in rows.items():
        east, north, zone, band = utm.from_latlon(*PLACES[path])
        assert (row["utm_zone"], row["utm_band"]) == (zone, band)
        assert (row["utm_east"], row["utm_north"]) == pytest.approx((east, north), abs=1e-6)
    assert [row["utm_zone"] for row in rows.values()] == [32, 34, 33]
    assert rejects(folder) == {"b/4.png": "no position: no UTM, and no latitude and longitude within the range of UTM"}


def test_swapped_degrees_are_explained(build: Build) -> None:
    with pytest.raises(UserError, match=r"swapped in 1 of 1 rows \(first: latitude = -122\.4, longitude = 37\.7\)"):
        build("path,latitude,longitude\na/1.jpg,-122.4,37.7\n")
    utm_and_swapped = (
        "path,utm_east,utm_north,utm_zone,utm_band,lat,lon\na/1.jpg,451201.4,5411061.5,31,U,2.33481,48.85060\n"
    )
    good = "a/2.jpg,451201.4,5411061.5,31,U,48.85060,2.33481\n"
    assert rejects(build(utm_and_swapped + good))["a/1.jpg"].endswith("apart: latitude and longitude are swapped")


def test_a_parquet_table_gives_the_same_rows(build: Build, photos: Path, tmp_path: Path) -> None:
    lines = ("path,latitude,longitude,heading,captured_at", "a/1.jpg,48.85,2.33,,2014-06-16 10:20:30")
    text = "\n".join([*lines, "b/3.JPG,48.86,2.34,7.5,", ""])
    of_csv = build(text)
    pl.read_csv(tmp_path / "photos.csv", try_parse_dates=True).write_parquet(tmp_path / "photos.parquet")
    source = make_source(SourceSettings(source="table", table=tmp_path / "photos.parquet"))
    of_parquet = build_manifest(photos, tmp_path / "A", source=source)
    assert of_parquet.name != of_csv.name
    for table in ("manifest", "rejects"):
        assert read_table(of_parquet, table).equals(read_table(of_csv, table))
    assert read_table(of_csv, "manifest")["heading_source"].to_list() == [None, "table"]


def test_another_table_or_columns_give_another_manifest(build: Build, photos: Path) -> None:
    text = "path,lat,lon\na/1.jpg,48.85,2.33\na/2.jpg,48.85,2.33\n"
    first = build(text)
    assert build(text, columns="latitude=lat") != first
    assert build(text) == first
    reordered = build("path,lat,lon\na/2.jpg,48.85,2.33\na/1.jpg,48.85,2.33\n")
    assert reordered != first
    assert read_recipe(reordered)["summary"]["partitions_from_before"] == 1
    (photos / "a" / "5.jpg").touch()
    assert set(rejects(build(text))) == {"a/5.jpg", "b/3.JPG", "b/4.png"}


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("file,lat\n", {}, "has no rows, only column names"),
        ("", {}, "photos.csv is empty"),
        ("a,lat,lon\nx,1,2\n", {}, "no column has the images' paths. Give --columns path=... It has a, lat, lon"),
        ("path,lat,x\na/1.jpg,1,2\n", {}, "no columns have positions. Give --columns latitude=...,longitude=..."),
        ("path,lat,gps_lat,lon\na/1.jpg,1,2,3\n", {}, "columns lat and gps_lat could both be latitude"),
        (
            "path,lat,lon\na/1.jpg,1,2\n",
            {"columns": "heading=h"},
            "photos.csv has no column h (for heading). It has path, lat, lon.",
        ),
        ("path,lat,lon\na/9.jpg,1,2\n", {}, "none of its 1 rows matches a file of"),
        (
            "path,lat,lon\nC:\\me\\photos\\a\\1.jpg,1,2\n",
            {},
            "with their extension. Without C:/me/photos/ it would match",
        ),
        ("path,lat,lon\na/1.jpg,1,2,3\n", {}, "Each line needs the columns of the first one"),
        ("PK\x03\x04...", {}, "is a workbook or another archive. Save the table as CSV"),
        ("path,lat,lon\na/1.jpg,x,2\n", {}, "none of the 4 files is a usable image"),
    ],
)
def test_unusable_tables_are_errors(build: Build, text: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as error:
        build(text, **options)
    assert message in str(error.value)


@pytest.mark.parametrize(("strict", "reason"), [(True, "not a number"), (False, "no position")])
def test_contradicting_sides_are_a_reject(build: Build, strict: bool, reason: str) -> None:
    folder = build("path,lat,lon\na/1.jpg,-48.85 N,2.33\na/2.jpg,1,2\n", strict=strict)
    (reject,) = read_table(folder, "rejects").filter(pl.col("path") == "a/1.jpg").to_dicts()
    assert reject["reason"] == reason
    assert not strict or reject["detail"] == "latitude = -48.85 N (a negative number contradicts N)"


def test_headings_from_the_track(build: Build) -> None:
    """Ten metres north, then ten east: along the way, at its corner between the two, and at its ends."""
    metres = {"a/1.jpg": (0, 0), "a/2.jpg": (0, 10), "b/3.JPG": (10, 10), "b/4.png": (10, 10)}
    lines = "".join(
        f"{path},{500_000 + east},{5_000_000 + north},31,20140616_10000{number},s,{'77' if path == 'b/4.png' else ''}\n"
        for number, (path, (east, north)) in enumerate(metres.items())
    )
    text = "path,utm_east,utm_north,utm_zone,timestamp,sequence,heading\n" + lines
    rows = {row["path"]: row for row in read_table(build(text, heading="from-track"), "manifest").to_dicts()}
    assert {path: row["heading"] for path, row in rows.items()} == pytest.approx(
        {"a/1.jpg": 0.0, "a/2.jpg": 45.0, "b/3.JPG": 90.0, "b/4.png": 77.0}
    )
    assert [row["heading_source"] for row in rows.values()] == ["track", "track", "track", "table"]
    turned = read_table(build(text, heading="from-track", camera_turn=-90), "manifest")["heading"].to_list()
    assert turned == pytest.approx([270.0, 315.0, 0.0, 77.0])


def test_a_heading_of_minus_1_is_estimated_unless_others_are_negative(tmp_path: Path) -> None:
    photos, table = tmp_path / "photos", tmp_path / "photos.csv"
    write(photos, *(f"{number}.jpg" for number in range(5)))
    for last, expected in ((90, [0, 0, 0, 0, 90]), (-90, [359, 0, 0, 359, 270])):
        written = (-1, "", "", -1, last)
        rows = [f"{n}.jpg,500000,{5_000_000 + 10 * n},31,20140616_10000{n},{each}" for n, each in enumerate(written)]
        table.write_text("\n".join(["path,utm_east,utm_north,utm_zone,timestamp,heading", *rows]))
        source = make_source(SourceSettings(source="table", table=table, heading="from-track"))
        manifest = build_manifest(photos, tmp_path / "A", "city", source=source)
        assert read_table(manifest, "manifest").sort("path")["heading"].to_list() == pytest.approx(expected)


def test_a_row_without_a_file_does_not_change_headings_from_the_track(tmp_path: Path) -> None:
    photos, table = tmp_path / "photos", tmp_path / "photos.csv"
    write(photos, "0.jpg", "1.jpg")
    rows = [f"{n}.jpg,500000,{5_000_000 + 10 * n},31,20140616_10000{n},{h}" for n, h in enumerate([-1, -1, -90])]
    table.write_text("\n".join(["path,utm_east,utm_north,utm_zone,timestamp,heading", *rows]))
    source = make_source(SourceSettings(source="table", table=table, heading="from-track"))
    manifest = build_manifest(photos, tmp_path / "A", "city", source=source)
    assert read_table(manifest, "manifest")["heading"].to_list() == pytest.approx([0, 0])
