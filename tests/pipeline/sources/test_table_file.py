"""Tables in all the forms that programs give them, and files that are no table."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl
import pytest

from data_manifest.errors import UserError
from data_manifest.tables import read_table
from pipeline.manifest.build_manifest import build_manifest
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings

Build = Callable[..., Path]
Form = Literal["NFC", "NFD"]
CONTENT = 'path,lat,lon,note\n"a/1.jpg",48.85,2.33,"Rue, été"\n'
ROW = {"path": "a/1.jpg", "lat": 48.85, "lon": 2.33, "note": "Rue, été"}
WITH_SEMICOLONS = 'path;lat;lon;note\n"a/1.jpg";48,85;2,33;"Rue, été"\n'


def manifest_of(table: Path, **options: Any) -> Path:
    source = make_source(SourceSettings(source="table", table=table, **options))
    return build_manifest(table.parent / "photos", table.parent / "A", source=source)


@pytest.mark.parametrize(
    "content",
    [
        CONTENT.encode("utf-8-sig"),
        CONTENT.replace("\n", "\r\n").encode(),
        CONTENT.replace(",lat", "\tlat").replace(",", "\t").replace("Rue\t", "Rue,").encode("utf-16"),
        b"sep=;\r\n" + WITH_SEMICOLONS.encode(),
        CONTENT.replace("\n", "\r").encode(),
        CONTENT.replace("\n", "\r").encode("cp1252"),
        CONTENT.replace("\n", "\r", 1).replace("\n", "\r\n").encode(),
        CONTENT.replace("\n", "\r").encode("utf-16"),
        WITH_SEMICOLONS.encode("cp1252"),
        json.dumps([ROW]).encode(),
        json.dumps([ROW], indent=2).encode("utf-8-sig"),
        json.dumps(ROW).encode() + b"\n" + json.dumps({**ROW, "tags": ["x"]}).encode() + b"\n",
        json.dumps(ROW, ensure_ascii=False).encode("utf-16"),
        b"\n \r\n" + json.dumps([ROW]).encode(),
        ("\n\n" + json.dumps(ROW)).encode("utf-16"),
        b"\r\n" + WITH_SEMICOLONS.encode(),
        ("\n" + WITH_SEMICOLONS).encode("cp1252"),
    ],
)
def test_the_same_rows_in_several_forms(build: Build, content: bytes) -> None:
    row = read_table(build(content), "manifest").row(0, named=True)
    assert (row["latitude"], row["longitude"], row["note"]) == (48.85, 2.33, "Rue, été")


def test_a_table_in_windows_1252_is_reported(build: Build, photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    (photos / "müll.jpg").touch()
    rows = read_table(build("path,lat,lon\r\nmüll.jpg,48.85,2.33\r\n".encode("cp1252")), "manifest")
    assert rows["path"].to_list() == ["müll.jpg"]
    assert (
        "photos.csv is not UTF-8: 1 lines are read as Windows-1252. If names come out wrong, save it as UTF-8."
        in caplog.text
    )


def test_a_line_in_windows_1252_leaves_the_others_in_utf_8(build: Build, photos: Path) -> None:
    (photos / "müll.jpg").touch()
    lines = [b"path,lat,lon,note\n", "müll.jpg,48.85,2.33,été\n".encode(), b"a/1.jpg,48.85,2.33,\xe9t\xe9\n"]
    rows = read_table(build(b"".join(lines)), "manifest")
    assert rows.select("path", "note").rows() == [("a/1.jpg", "été"), ("müll.jpg", "été")]


@pytest.mark.parametrize(("of_file", "of_row"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_match_in_another_normalisation_form(build: Build, photos: Path, of_file: Form, of_row: Form) -> None:
    """The exact name comes first, and two files that could be meant match none."""
    name, twice, mixed = "é/ü.jpg", "å.jpg", "ǟ.jpg"  # the last has three forms
    written = {unicodedata.normalize(of_file, name), *(unicodedata.normalize(form, twice) for form in get_args(Form))}
    others = {unicodedata.normalize("NFD", mixed), "ä\u0304.jpg"}
    for path in (*written, *others):
        (photos / path).parent.mkdir(exist_ok=True)
        (photos / path).touch()
    lines = [unicodedata.normalize(of_row, name), unicodedata.normalize("NFC", twice), mixed]
    folder = build("path,lat,lon\n" + "".join(f"{path},48.85,2.33\n" for path in lines))
    found = {unicodedata.normalize(of_file, name), unicodedata.normalize("NFC", twice)}
    assert set(read_table(folder, "manifest")["path"]) == found
    reasons = dict(read_table(folder, "rejects").select("path", pl.col("reason").cast(pl.String)).iter_rows())
    assert reasons[mixed] == "no such file"
    assert reasons[unicodedata.normalize("NFD", twice)] == "not in the table"
    assert len(reasons) == 4 + 1 + 1 + 2


def test_a_folder_of_parquet_files_is_one_table(photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.parquet"
    for name in ("_temporary", ".hidden", "zone=31"):
        (table / name).mkdir(parents=True)
    first = pl.DataFrame({"path": ["a/1.jpg"], "easting": [450_000], "northing": [5_410_000.5]})
    first.write_parquet(table / "zone=31" / "part-0.parquet")
    other = pl.DataFrame({"easting": [450_001.5], "band": ["U"], "path": ["a/2.jpg"], "northing": [5_410_000]})
    other.write_parquet(table / "zone=31" / "part-1.pq")
    for name in ("_SUCCESS", "_temporary/x.parquet", ".hidden/x.parquet", ".part-0.parquet.crc", "notes.txt"):
        (table / name).write_text("no table")
    before = manifest_of(table)
    rows = read_table(before, "manifest").sort("path")
    assert rows.select("path", "utm_east", "utm_north", "utm_zone", "utm_band").rows() == [
        ("a/1.jpg", 450_000.0, 5_410_000.5, 31, None),
        ("a/2.jpg", 450_001.5, 5_410_000.0, 31, "U"),
    ]
    assert manifest_of(table) == before
    first.with_columns(path=pl.lit("b/4.png")).write_parquet(table / "zone=31" / "part-2.parquet")
    assert len(read_table(manifest_of(table), "manifest")) == 3


@pytest.mark.parametrize("name", ["photos [1].csv", "photos*.txt"])
def test_a_file_name_is_not_a_pattern(photos: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(CONTENT)
    assert read_table(manifest_of(tmp_path / name), "manifest")["path"].to_list() == ["a/1.jpg"]


def test_parquet_is_recognized_by_its_content(build: Build, tmp_path: Path) -> None:
    pl.DataFrame([ROW]).write_parquet(tmp_path / "x")
    assert read_table(build((tmp_path / "x").read_bytes()), "manifest")["path"].to_list() == ["a/1.jpg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"path,lat,lon", "has no rows, only column names"),
        (b"[]", "has no rows"),
        (b"PK\x03\x04\x14\x00", "is a workbook or another archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is a workbook of an old Excel"),
        (b"\x1f\x8b\x08\x00\n\x00", "is compressed"),
        (b"SQLite format 3\x00\x10", "is a database"),
        (b"\x00\x01\x02\xff\n\xfe", "is neither text nor Parquet"),
        (CONTENT.encode("utf-16-le"), "is neither text nor Parquet"),
        (CONTENT.encode("utf-32"), "is neither text nor Parquet"),
        (CONTENT.encode("utf-16")[:-1], "is corrupt UTF-16"),
        ("path,lat,lon\n写真/表.jpg,48.85,2.33\n".encode("cp932"), "is neither UTF-8 nor Windows-1252"),
        (b"PAR1 and then nothing", "cannot be read as Parquet"),
        (b'[{"path": ', "is JSON, but neither an array of objects nor one object per line"),
        (b"[1, 2]", "is JSON, but neither"),
        (json.dumps({"path": ["a/1.jpg"], "lat": [1.0]}).encode(), "no column has the images' paths"),
        (b"path,lat,lon\na/1.jpg,1,2,3\n", "Each line needs the columns of the first one"),
    ],
)
def test_files_in_other_formats_are_errors(build: Build, content: bytes, message: str) -> None:
    with pytest.raises(UserError) as error:
        build(content)
    assert "photos.csv" in str(error.value)
    assert message in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None, "one message, not a chain"


def test_missing_and_truncated_tables_are_errors(photos: Path, tmp_path: Path) -> None:
    for name in ("empty", "without/deep", "truncated"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "without" / "deep" / "x.csv").write_text(CONTENT)
    pl.DataFrame([ROW]).write_parquet(tmp_path / "whole.parquet")
    (tmp_path / "truncated" / "x.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-9])
    for name, message in {
        "typo.csv": "table = {}: cannot be read: No such file or directory. Check --table.",
        "empty": "{} is a folder without a Parquet file. Give --table a CSV or Parquet file.",
        "without": "{} is a folder without a Parquet file. Give --table a CSV or Parquet file.",
        "truncated": "{}/x.parquet cannot be read as Parquet: ",
    }.items():
        with pytest.raises(UserError) as error:
            manifest_of(tmp_path / name)
        assert str(error.value).startswith(message.format(tmp_path / name))
        assert error.value.__suppress_context__ or error.value.__context__ is None
