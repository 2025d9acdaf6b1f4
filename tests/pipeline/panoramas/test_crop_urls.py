"""Panoramas in a bucket give the crops of the same files in a folder."""

from pathlib import Path

import pytest

from data_manifest.errors import StoreError
from data_manifest.images.images_folder import ImagesUrl
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.panoramas.crop_panoramas import crop_panoramas
from pipeline.panoramas.settings import CropSettings
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
from tests.helpers import files_in
from tests.object_server import RESET, ObjectServer
from tests.pipeline.panoramas.test_crop_panoramas import NAME, panorama, write_photo

FOLDER = ImagesUrl.parse("s3://bucket/panoramas")
SMALL = CropSettings(crop_size=32, crops_num=3)


@pytest.fixture
def panoramas(tmp_path: Path) -> Path:
    for number in range(5):
        write_photo(tmp_path / "panoramas" / "a" / NAME.format(f"pano{number}", 40 * number), panorama(), {17: 90.0})
    return tmp_path / "panoramas"


@pytest.fixture
def bucket(panoramas: Path, objects: ObjectServer) -> ObjectServer:
    objects.put_files(panoramas, "panoramas")
    objects.put(f"panoramas/a/{NAME.format('cut', 7)}", next(iter(objects.objects.values()))[:900])
    return objects


def crop_url(tmp_path: Path) -> Path:
    return crop_panoramas(FOLDER, tmp_path / "of_url", tmp_path / "A", SMALL)


def test_crops_of_a_bucket_are_those_of_the_folder(panoramas: Path, bucket: ObjectServer, tmp_path: Path) -> None:
    for number, key in enumerate(bucket.objects):
        bucket.failures[key] = [503 if number % 2 else RESET]
    cropped = read_table(crop_url(tmp_path), "cropped")
    assert sorted(cropped["status"].cast(str)) == ["ok"] * 5 + ["truncated"]
    crop_panoramas(panoramas, tmp_path / "of_folder", tmp_path / "A", SMALL)
    crops = files_in(tmp_path / "of_url", "*.jpg")
    assert len(crops) == 15
    assert crops == files_in(tmp_path / "of_folder", "*.jpg")


def test_positions_and_headings_come_from_exif(bucket: ObjectServer, tmp_path: Path) -> None:
    source = make_source(SourceSettings(source="exif"))
    crops = crop_panoramas(FOLDER, tmp_path / "of_url", tmp_path / "A", SMALL, source=source)
    assert read_recipe(crops)["summary"]["crops"] == 15
    assert {path.name.split("@")[9] for path in (tmp_path / "of_url").rglob("*.jpg")} == {"30", "150", "270"}


def test_only_changed_objects_are_cut_again(panoramas: Path, bucket: ObjectServer, tmp_path: Path) -> None:
    first = crop_url(tmp_path)
    bucket.requests.clear()
    assert crop_url(tmp_path) == first
    changed = f"panoramas/a/{NAME.format('pano3', 120)}"
    bucket.put(changed, bucket.objects[changed] + b"\0")  # in the same second
    assert read_recipe(crop_url(tmp_path))["summary"]["cut_now"] == 1
    assert bucket.requests["GET", changed] == 1
    assert bucket.requests["GET", f"panoramas/a/{NAME.format('pano2', 80)}"] == 0


def test_error_of_the_store_stops_the_run_and_leaves_nothing_unfinished(bucket: ObjectServer, tmp_path: Path) -> None:
    key = f"panoramas/a/{NAME.format('pano3', 120)}"
    bucket.failures[f"GET {key}"] = [503] * 20
    with pytest.raises(StoreError, match=r"pano3@.*: cannot be read"):
        crop_url(tmp_path)
    assert not (tmp_path / "A" / "crops").exists()
    assert {path.suffix for path in (tmp_path / "of_url").rglob("*") if path.is_file()} <= {".jpg", ".json"}
    bucket.failures.clear()
    assert read_recipe(crop_url(tmp_path))["summary"]["crops"] == 15
