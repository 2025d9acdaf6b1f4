"""Photos in a bucket or on a web server give the rows of the same files in a folder."""

import os
from pathlib import Path

import pytest
from PIL import Image

from data_manifest.errors import StoreError
from data_manifest.images import object_store
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.tables import read_table
from pipeline.manifest.build_manifest import build_manifest
from pipeline.sources import photo_source
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
from tests.helpers import files_in
from tests.object_server import RESET, ObjectServer
from tests.pipeline.sources.test_photo_source import GPS, write_photo

FOLDER = ImagesUrl.parse("s3://bucket/photos")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(6):
        write_photo(tmp_path / "photos" / f"{number % 2}" / f"{number}.jpg", {**GPS, 16: "T", 17: 10.0 * number})
    write_photo(tmp_path / "photos" / "nowhere.jpg", {})
    (tmp_path / "photos" / "text.jpg").write_text("no image")
    (tmp_path / "photos" / "empty.jpg").touch()
    with Image.effect_noise((300, 200), 90) as large:
        exif = Image.Exif()
        exif.get_ifd(0x8825).update(GPS)
        large.save(tmp_path / "photos" / "end.webp", exif=exif)  # EXIF is at the end
        (tmp_path / "photos" / "end.webp").rename(tmp_path / "photos" / "end.jpg")
    return tmp_path / "photos"


@pytest.fixture
def bucket(photos: Path, objects: ObjectServer) -> ObjectServer:
    objects.put_files(photos, "photos")
    return objects


def build(folder: ImagesFolder, artifacts: Path) -> Path:
    return build_manifest(folder, artifacts, source=make_source(SourceSettings(source="exif")))


def tables_of(folder: ImagesFolder, artifacts: Path) -> list[list[tuple[object, ...]]]:
    manifest = build(folder, artifacts)
    return [read_table(manifest, table).sort("path").rows() for table in ("manifest", "rejects")]


@pytest.mark.parametrize("head_bytes", [300, 1 << 17])
@pytest.mark.parametrize("kind", ["s3", "http"])
def test_rows_and_rejects_are_those_of_the_folder(
    photos: Path, bucket: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, head_bytes: int
) -> None:
    monkeypatch.setattr(object_store, "HEAD_BYTES", head_bytes)
    for number, key in enumerate(bucket.objects):
        bucket.failures[f"GET {key}"] = [503 if number % 2 else RESET]
    bucket.put("photos_images_paths.txt", "".join(f"{path}\n" for path in files_in(photos)).encode())
    folder = FOLDER if kind == "s3" else ImagesUrl.parse(f"{bucket.url}/photos")
    at_url = tables_of(folder, tmp_path / "A")
    assert [len(rows) for rows in at_url] == [7, 3]
    assert at_url == tables_of(photos, tmp_path / "B")


@pytest.mark.parametrize("is_bucket", [True, False])
def test_photos_in_other_formats_are_logged(
    photos: Path, bucket: ObjectServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, is_bucket: bool
) -> None:
    for name in ("1.WebP", "more/2.webp", "3.txt", "4.dng", "@eaDir/5.webp", "._6.webp"):
        bucket.put(f"photos/{name}", b"")
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).touch()
    build(FOLDER if is_bucket else photos, tmp_path / "A")
    logged = [record.getMessage() for record in caplog.records if "are not read" in record.getMessage()]
    folder = FOLDER if is_bucket else photos
    advice = "are not read. Convert them to JPEG with metadata (see docs/guides/own-data.md)."
    assert logged == [f"{folder}: 2 photos .webp {advice}", f"{folder}: 1 photos .dng {advice}"]


def test_only_new_and_changed_photos_are_read(
    bucket: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_source, "PHOTOS_PER_PARTITION", 2)
    monkeypatch.setattr(photo_source, "MIN_JOBS_FOR_PROCESSES", 100)
    first = build(FOLDER, tmp_path / "A")
    bucket.requests.clear()
    assert build(FOLDER, tmp_path / "A") == first
    write_photo(tmp_path / "new.jpg", {**GPS, 16: "T", 17: 99.0})
    bucket.put("photos/1/3.jpg", (tmp_path / "new.jpg").read_bytes())  # in the same second
    rows = read_table(build(FOLDER, tmp_path / "A"), "manifest")
    assert 99.0 in rows["heading"].to_list()
    read = {key for method, key in bucket.requests if method == "GET" and key.startswith("photos/")}
    assert "photos/1/3.jpg" in read
    assert len(read) < 6, "other partitions are linked"


def test_large_photos_are_not_read_to_their_end(bucket: ObjectServer, tmp_path: Path) -> None:
    content = bucket.objects["photos/1/3.jpg"] + os.urandom(3_000_000)
    bucket.objects = {}
    bucket.put("photos/3.jpg", content)
    build(FOLDER, tmp_path / "A")
    assert bucket.requests["GET", "photos/3.jpg"] == 1
    assert bucket.bytes_sent < 200_000


def test_error_of_the_store_is_no_reject(bucket: ObjectServer, tmp_path: Path) -> None:
    bucket.failures["GET photos/1/3.jpg"] = [503] * 20
    with pytest.raises(StoreError, match=r"s3://bucket/photos/1/3\.jpg: cannot be read"):
        build(FOLDER, tmp_path / "A")
    assert not (tmp_path / "A" / "manifest").exists()
    bucket.failures.clear()
    assert len(tables_of(FOLDER, tmp_path / "A")[0]) == 7


def test_photos_are_read_at_the_same_time(bucket: ObjectServer, tmp_path: Path) -> None:
    content = bucket.objects["photos/1/3.jpg"]
    bucket.objects = {}
    for number in range(40):
        bucket.put(f"photos/{number}.jpg", content)
    bucket.delay_s = 0.02
    build(FOLDER, tmp_path / "A")
    assert 8 < bucket.most_at_once <= object_store.REQUESTS
