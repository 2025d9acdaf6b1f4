import json
import os
from pathlib import Path
from typing import IO, Any

import pytest
from PIL import ExifTags, Image

from data_manifest.errors import UserError
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from pipeline.sources import photo_source
from pipeline.sources.make_source import make_source
from pipeline.sources.photo_metadata import read_photo
from pipeline.sources.photo_source import PhotoSource
from pipeline.sources.settings import SourceSettings

REAL = Path(__file__).parents[4] / "shared" / "data" / "exif"
EXIF = SourceSettings(source="exif")
GPS = {1: "N", 2: (48.0, 51.0, 2.16), 3: "W", 4: (2.0, 20.0, 5.28)}  # 48.8506, -2.3348
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description %s/></x:xmpmeta>'
POSE = b'GPano:PoseHeadingDegrees="123.5" GPano:PosePitchDegrees="-4"'


def write_photo(
    path: Path,
    gps: dict[int, Any],
    description: str = "",
    taken: str = "2014:06:16 10:20:30",
    orientation: int = 1,
    xmp: bytes = b"",
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription], exif[ExifTags.Base.Orientation] = description, orientation
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    more: dict[str, Any] = {"xmp": xmp} if xmp else {}
    Image.new("RGB", (30, 20)).save(path, exif=exif, **more)


def rows_of(folder: Path, tmp_path: Path, **options: Any) -> dict[str, dict[str, Any]]:
    source = make_source(SourceSettings(source="exif", **options))
    manifest = build_manifest(folder, tmp_path / "A", source=source)
    return {row["path"]: row for row in read_table(manifest, "manifest").to_dicts()}


def rejects_of(manifest: Path) -> dict[str, str]:
    return {row["path"]: f"{row['reason']}: {row['detail']}" for row in read_table(manifest, "rejects").to_dicts()}


def test_fields_come_from_mapillary_xmp_and_exif(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_photo(photos / "plain.jpg", GPS)
    write_photo(photos / "magnetic.jpg", {**GPS, 16: "M", 17: 90.5, 5: b"\x01", 6: 3.5}, orientation=6)
    write_photo(photos / "pose.jpg", {**GPS, 16: "T", 17: 90.5}, xmp=XMP % POSE)
    told = {"MAPLatitude": -33.9, "MAPLongitude": 18.4, "MAPCompassHeading": {"TrueHeading": 12.25}}
    write_photo(photos / "told.jpg", GPS, json.dumps({**told, "MAPCaptureTime": "2016_05_04_13_11_11_600"}))
    write_photo(photos / "odd.png", {**GPS, 17: 400.0}, description="{no JSON", taken="    :  :     :  :  ")
    rows = rows_of(photos, tmp_path)
    columns = ("latitude", "longitude", "heading", "heading_source", "heading_reference", "timestamp", "note")
    here = (pytest.approx(48.8506), pytest.approx(-2.3348))
    assert {path: tuple(row[column] for column in columns) for path, row in rows.items()} == {
        "plain.jpg": (*here, None, None, None, "20140616_102030", None),
        "magnetic.jpg": (*here, 90.5, "exif", "magnetic", "20140616_102030", "orientation 6"),
        "pose.jpg": (*here, 123.5, "xmp", "true", "20140616_102030", None),
        "told.jpg": (-33.9, 18.4, 12.25, "mapillary", "true", "20160504_131111", None),
        "odd.png": (*here, 40.0, "exif", None, None, None),
    }
    assert (rows["magnetic.jpg"]["height"], rows["pose.jpg"]["pitch"]) == (-3.5, -4.0)


def test_photos_in_other_formats_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_photo(tmp_path / "photos" / "good.jpg", GPS)
    for name in ("1.WebP", "more/2.webp", "3.txt", "@eaDir/4.webp", "._5.webp"):
        (tmp_path / "photos" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "photos" / name).touch()
    build_manifest(tmp_path / "photos", tmp_path / "A", source=make_source(EXIF))
    assert "2 photos .webp are not read. Convert them to JPEG" in caplog.text
    assert ".txt" not in caplog.text


def test_unusable_photos_are_rejects(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_photo(photos / "good.jpg", GPS)
    write_photo(photos / "nowhere.jpg", {})
    write_photo(photos / "null.jpg", {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)})
    (photos / "text.jpg").write_text("no image")
    (photos / "empty.jpg").touch()
    (photos / os.fsdecode(b"\xff.jpg")).touch()
    manifest = build_manifest(photos, tmp_path / "A", source=make_source(EXIF))
    assert read_table(manifest, "manifest")["path"].to_list() == ["good.jpg"]
    assert rejects_of(manifest) == {
        "nowhere.jpg": "no position: no GPS position in the file",
        "null.jpg": "no position: latitude 0, longitude 0: usually an unknown position",
        "text.jpg": "cannot be read: not an image",
        "empty.jpg": "cannot be read: not an image",
        "./%FF.jpg": "not UTF-8: the path is shown percent-escaped",
    }


def test_an_io_error_is_not_a_reject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photo(tmp_path / "photos" / "1.jpg", GPS)

    def refuses(photo: IO[bytes]) -> dict[str, str]:
        raise PermissionError(13, "Permission denied", photo.name)

    with monkeypatch.context() as patch:
        patch.setattr(photo_source, "read_photo", refuses)
        with pytest.raises(UserError, match=r"1\.jpg: Permission denied\. Check the disk"):
            build_manifest(tmp_path / "photos", tmp_path / "A", source=make_source(EXIF))
    assert len(rows_of(tmp_path / "photos", tmp_path)) == 1


def test_only_changed_photos_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_source, "PHOTOS_PER_PARTITION", 2)
    monkeypatch.setattr(photo_source, "MIN_JOBS_FOR_PROCESSES", 100)
    seen: list[str] = []
    read = read_photo

    def noted(photo: IO[bytes]) -> dict[str, str]:
        seen.append(Path(photo.name).name)
        return read(photo)

    monkeypatch.setattr(photo_source, "read_photo", noted)
    photos = tmp_path / "photos"
    for number in range(4):
        write_photo(photos / f"{number}" / f"{number}.jpg", GPS)
    first = build_manifest(photos, tmp_path / "A", source=make_source(EXIF))
    assert sorted(seen) == [f"{number}.jpg" for number in range(4)]
    seen.clear()
    assert build_manifest(photos, tmp_path / "A", source=make_source(EXIF)) == first
    assert seen == []
    write_photo(photos / "2" / "2.jpg", {**GPS, 16: "T", 17: 5.0})
    os.utime(photos / "2" / "2.jpg", (1e9, 1e9))
    second = build_manifest(photos, tmp_path / "A", source=make_source(EXIF))
    assert "2.jpg" in seen
    assert len(seen) <= 2
    assert second != first
    assert read_table(second, "manifest").sort("path")["heading"].to_list() == [None, None, 5.0, None]


def test_processes_give_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_source, "PHOTOS_PER_PARTITION", 1)
    for number in range(3):
        write_photo(tmp_path / "photos" / f"{number}" / "x.jpg", GPS)
    of_processes = build_manifest(tmp_path / "photos", tmp_path / "A", source=make_source(EXIF))
    monkeypatch.setattr(photo_source, "MIN_JOBS_FOR_PROCESSES", 100)
    of_threads = build_manifest(tmp_path / "photos", tmp_path / "B", source=make_source(EXIF))
    files = [{path.name: path.read_bytes() for path in each.glob("*/*")} for each in (of_processes, of_threads)]
    assert files[0] == files[1]
    assert len(files[0]) == 3


def test_headings_from_the_track_of_a_folder(tmp_path: Path) -> None:
    for number in range(3):
        place = {**GPS, 2: (48.0, 51.0, 2.0 + number)}  # 30 metres north each
        write_photo(tmp_path / "photos" / "walk" / f"{number}.jpg", place, taken=f"2014:06:16 10:20:3{number}")
    rows = rows_of(tmp_path / "photos", tmp_path, heading="from-track")
    assert all(min(row["heading"], 360 - row["heading"]) < 0.01 for row in rows.values())
    assert {(row["heading_source"], row["heading_reference"]) for row in rows.values()} == {("track", "true")}
    assert PhotoSource(SourceSettings(source="exif", heading="from-track")).rows_per_partition is None


def test_other_heading_settings_read_the_photos_again(tmp_path: Path) -> None:
    for number in range(3):
        place = {**GPS, 2: (48.0, 51.0, 2.0 + number)}
        write_photo(tmp_path / "photos" / f"{number}.jpg", place, taken=f"2014:06:16 10:20:3{number}")
    found = []
    for options in ({}, {"heading": "from-track"}, {"heading": "from-track", "camera_turn": 90.0}):
        headings = [row["heading"] for row in rows_of(tmp_path / "photos", tmp_path, **options).values()]
        found.append({None if heading is None else round(heading) % 360 for heading in headings})
    assert found == [{None}, {0}, {90}]


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared with real photos is not here")
def test_real_photos_from_exif_to_groups(tmp_path: Path) -> None:
    rows = rows_of(REAL, tmp_path)
    assert len(rows) == 16
    headings = {Path(path).stem: row["heading"] for path, row in rows.items() if row["heading"] is not None}
    assert headings == {"8": 45.0, "10": 22.5, "11": 112.5, "12": 180.0}  # as their ORIGIN.txt tells
    assert [row["note"] for row in rows.values()].count("equirectangular") == 5
    portland = rows["mapillary_tools_portland/DSC00001.JPG"]
    assert (portland["latitude"], portland["longitude"]) == pytest.approx((45.516903, -122.572765), abs=1e-6)
    assert {row["utm_zone"] for row in rows.values()} == {10, 30, 32}
    (manifest,) = (tmp_path / "A" / "manifest").glob("*/current")
    groups = build_groups(manifest, tmp_path / "A", GroupSettings(alpha=360, L=1, min_images_per_class=1))
    assert read_recipe(groups)["summary"]["images"] == 16
    zones = read_table(groups, "classes").group_by("utm_zone").len().sort("utm_zone")["utm_zone"].to_list()
    assert zones == [10, 30, 32]
