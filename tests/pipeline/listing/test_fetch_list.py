from pathlib import Path

import polars as pl
import pytest

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesUrl
from data_manifest.images.object_listing import list_objects
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.listing.check_first_image import check_first_image
from pipeline.listing.list_images import Listing, list_images, path_blocks
from pipeline.manifest.build_manifest import build_manifest
from tests.helpers import tables_in, write_images
from tests.object_server import ObjectServer

FOLDER = ImagesUrl.parse("s3://bucket/city/train")


def paths_of(listing: Listing) -> list[bytes]:
    return sorted(path for block in path_blocks(listing) for path in block)


def test_bucket_is_listed_like_a_folder(objects: ObjectServer, tmp_path: Path) -> None:
    names = [
        "a.jpg",
        "b/é x.PNG",
        "b/.hidden.jpg",
        "@eaDir/t.jpg",
        "b/.git/x.jpg",
        "b/.git/y.jpg",
        "notes.txt",
        "c/d.heic",
    ]
    for name in names:
        objects.put(f"city/train/{name}", b"")
        (tmp_path / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / name).touch()
    of_bucket, of_folder = list_images(FOLDER, tmp_path / "A"), list_images(tmp_path / "train")
    assert paths_of(of_bucket) == paths_of(of_folder) == [b"a.jpg", "b/é x.PNG".encode(), b"c/d.heic"]
    assert of_bucket.origin == FOLDER
    assert str(of_bucket.skipped).startswith("1 hidden images and 2 folders")
    assert (of_bucket.skipped.hidden_images, of_bucket.skipped.folders) == (1, {"@eaDir": 1, ".git": 1})
    assert of_folder.skipped.hidden_images == 1


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_a_list_beside_the_folder_is_read_instead_of_listing(objects: ObjectServer, kind: str) -> None:
    objects.put("city/train_images_paths.txt", b"b.jpg\n./c/d.jpg\r\n")
    objects.put("city/train/other.jpg", b"")
    folder = FOLDER if kind == "s3" else ImagesUrl.parse(f"{objects.url}/city/train")
    listing = list_images(folder)
    assert paths_of(listing) == [b"b.jpg", b"c/d.jpg"]
    assert str(listing.origin) == f"{folder}_images_paths.txt"


def test_errors_name_what_is_missing(objects: ObjectServer) -> None:
    with pytest.raises(UserError, match=r"^s3://bucket/city/train: no image in it \(looked for \.jpg"):
        list_images(FOLDER)
    web = ImagesUrl.parse(f"{objects.url}/city/train")
    with pytest.raises(UserError, match=r"train_images_paths\.txt: no such file\. Web servers do not list images: put"):
        list_images(web)
    objects.put("city/train_images_paths.txt", b"gone.jpg\n")
    listing = list_images(FOLDER)
    with pytest.raises(UserError, match=r"s3://bucket/city/train/gone\.jpg cannot be opened as an image"):
        check_first_image(listing, FOLDER)
    objects.failures["city/train/gone.jpg"] = [503] * 100
    with pytest.raises(UserError, match=r"s3://bucket/city/train/gone\.jpg: cannot be read"):
        check_first_image(listing, FOLDER)


def test_manifest_and_groups_equal_those_of_the_folder(objects: ObjectServer, tmp_path: Path) -> None:
    write_images(tmp_path / "city" / "train" / "36.14", (2015, 2016))
    objects.put_files(tmp_path / "city", "city")
    settings = GroupSettings(min_images_per_class=2, N=1, L=1)
    made = {}
    for root, folder in (("bucket", FOLDER), ("folder", tmp_path / "city" / "train")):
        manifest = build_manifest(folder, tmp_path / root, name="city")
        groups = build_groups(manifest, tmp_path / root, settings)
        made[root] = [list(tables_in(artifact).values()) for artifact in (manifest, groups)]
    assert made["bucket"] == made["folder"]
    assert not [key for method, key in objects.requests if key.endswith(".jpg")], "no image is read"


def test_new_objects_rebuild_only_their_partitions(objects: ObjectServer, tmp_path: Path) -> None:
    for number in range(40):
        objects.put(f"city/train/{number % 4}/@0500005.00@4000005.00@10@S@@@p{number}@@15@@@@201506@@.jpg", b"")
    first = build_manifest(FOLDER, tmp_path, name="city")
    assert build_manifest(FOLDER, tmp_path, name="city") == first
    list_objects.cache_clear()
    objects.put("city/train/9/@0500005.00@4000005.00@10@S@@@new@@15@@@@201506@@.jpg", b"")
    second = build_manifest(FOLDER, tmp_path, name="city")
    assert second != first
    assert pl.scan_parquet(second / "manifest" / "*.parquet").select(pl.len()).collect().item() == 41
