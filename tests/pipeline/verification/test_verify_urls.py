"""Images in a bucket or on a web server get the verdicts of the same files in a folder."""

from pathlib import Path

import polars as pl
import pytest

from data_manifest.errors import StoreError
from data_manifest.images.images_folder import ImagesUrl
from data_manifest.images.object_store import REQUESTS
from data_manifest.tables import read_table
from pipeline.manifest.build_manifest import build_manifest
from pipeline.verification import check_partition
from pipeline.verification.settings import DECODE, HEADER, VerifySettings
from pipeline.verification.verify_images import verify_images
from tests.object_server import RESET, ObjectServer
from tests.pipeline.verification.helpers import bad_in, change, image, name

FOLDER = ImagesUrl.parse("s3://bucket/train")


@pytest.fixture
def damaged(train: Path) -> Path:
    whole = image(train, 0).read_bytes()
    change(image(train, 4), whole[:-20])
    change(image(train, 15), b"")
    change(image(train, 26), b"<html>404</html>")
    return train


@pytest.fixture
def bucket(damaged: Path, objects: ObjectServer) -> ObjectServer:
    objects.put_files(damaged, "train")
    return objects


def key(number: int) -> str:
    return f"train/37.{number // 10}/{name(number)}"


def read_keys(bucket: ObjectServer) -> list[str]:
    return sorted(each for method, each in bucket.requests if method == "GET" and each)


def verify_url(tmp_path: Path, folder: ImagesUrl = FOLDER, **options: object) -> Path:
    artifacts = tmp_path / "of_urls"
    return verify_images(build_manifest(folder, artifacts), folder, artifacts, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("check", [HEADER, DECODE])
def test_verdicts_of_a_bucket_are_those_of_the_folder(
    damaged: Path, bucket: ObjectServer, tmp_path: Path, check: str
) -> None:
    for number in range(30):
        bucket.failures[key(number)] = [503 if number % 2 else RESET]
    in_folder = verify_images(build_manifest(damaged, tmp_path / "A"), damaged, tmp_path / "A", check)
    in_bucket = verify_url(tmp_path, check=check)
    assert bad_in(in_bucket) == {name(4): "truncated", name(15): "zero bytes", name(26): "not an image"}
    tables = [read_table(each, "checks").drop("modified_ns").sort("path") for each in (in_folder, in_bucket)]
    assert tables[0].equals(tables[1])


def test_only_new_and_changed_objects_are_read_again(damaged: Path, bucket: ObjectServer, tmp_path: Path) -> None:
    first = verify_url(tmp_path)
    bucket.requests.clear()
    assert verify_url(tmp_path) == first
    assert read_keys(bucket) == ["train_images_paths.txt"], "a list beside the folder, which is not there"
    content = bytearray(bucket.objects[key(7)])
    content[-1] ^= 1
    bucket.put(key(7), bytes(content))  # of the same size and second: another ETag
    bucket.requests.clear()
    assert bad_in(verify_url(tmp_path))[name(7)] == "truncated"
    assert read_keys(bucket) == [key(7), "train_images_paths.txt"]


def test_missing_object_has_vanished(bucket: ObjectServer, tmp_path: Path) -> None:
    manifest = build_manifest(FOLDER, tmp_path / "A")
    del bucket.objects[key(9)]
    assert bad_in(verify_images(manifest, FOLDER, tmp_path / "A"))[name(9)] == "vanished"


def test_error_of_the_store_is_no_bad_image_and_finished_checks_are_kept(
    bucket: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_partition, "MAX_IMAGES_PER_PIECE", 1)
    bucket.failures[f"GET {key(25)}"] = [503] * 20
    with pytest.raises(StoreError, match=r"pano25@.*: cannot be read .*run the same command again"):
        verify_url(tmp_path)
    assert not list((tmp_path / "of_urls").glob("checks/*/current"))
    bucket.failures.clear()
    bucket.requests.clear()
    assert name(25) not in bad_in(verify_url(tmp_path))
    assert key(25) in read_keys(bucket)
    assert len(read_keys(bucket)) < 30, "others were checked in the first run"


def test_images_of_a_web_server_with_their_checksums(damaged: Path, bucket: ObjectServer, tmp_path: Path) -> None:
    paths = sorted(path.relative_to(damaged).as_posix() for path in damaged.rglob("*.jpg"))
    bucket.put("train_images_paths.txt", "".join(f"{path}\n" for path in paths).encode())
    sums = tmp_path / "sums.txt"
    sums.write_text("".join(f"{'0' * 32}  train/{path}\n" for path in paths[:1]))
    settings = VerifySettings(checksum=sums)
    folder = ImagesUrl.parse(f"{bucket.url}/train")
    checks = read_table(verify_url(tmp_path, folder, settings=settings), "checks").filter(pl.col("path") == paths[0])
    assert checks["status"].cast(str).to_list() == ["checksum differs"]


def test_objects_are_fetched_at_the_same_time(bucket: ObjectServer, tmp_path: Path) -> None:
    manifest = build_manifest(FOLDER, tmp_path / "A")
    bucket.delay_s = 0.02
    verify_images(manifest, FOLDER, tmp_path / "A")
    assert 8 < bucket.most_at_once <= 2 * REQUESTS
