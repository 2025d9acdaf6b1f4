"""What the tasks on images keep during a command, and check before it reads anything."""

from pathlib import Path
from typing import Any

import pytest

import workflows
from data_manifest.errors import UserError
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from tests.helpers import needs_timm, run_forked, write_images
from tests.object_server import ObjectServer


def check_that_images_are_listed_once(folder: Path) -> None:
    given: dict[str, Any] = {"dataset_folder": folder}
    task = workflows.BuildManifest(**given)
    before = task.artifact()
    next(folder.rglob("*.jpg")).unlink()
    assert before == task.artifact()


def test_images_are_listed_once_per_command(tmp_path: Path) -> None:
    write_images(tmp_path / "train", (2015,))
    done = run_forked(check_that_images_are_listed_once, tmp_path)
    assert done.returncode == 0, done.stderr


@needs_timm
def test_image_size_is_checked_before_anything_is_read() -> None:
    given: dict[str, Any] = {"dataset_folder": Path("/no/such/folder"), "backbone": "timm/vit_small_patch14_dinov2"}
    for task in (workflows.TrainCosPlace, workflows.EvaluateCosPlace):
        with pytest.raises(UserError, match=r"image_size = 512: not a multiple of 14.*Use 504 or 518"):
            task(**given).complete()


@pytest.fixture
def bucket(objects: ObjectServer) -> str:
    """The URL of a bucket with a training image."""
    objects.put("city/train/@0500005.00@4000005.00@10@S@@@p@@15@@@@201506@@.jpg", b"")
    return "s3://bucket/city"


def test_stages_read_from_a_bucket(bucket: str, objects: ObjectServer, tmp_path: Path) -> None:
    write_images(tmp_path / "images", (2016,))
    objects.put_files(tmp_path / "images", "city/train")
    given: dict[str, Any] = {"dataset_folder": bucket, "artifacts_folder": tmp_path / "A"}
    grouping: dict[str, Any] = {"verified": "header", "min_images_per_class": 1}
    groups = workflows.BuildGroups(**grouping, **given)
    verification = workflows.VerifyImages(check="header", **given)
    folders: dict[str, Any] = {"panoramas_folder": f"{bucket}/train", "output_folder": tmp_path / "crops"}
    for task in (workflows.BuildManifest(**given), verification, groups):
        task.run()
        assert task.complete()
    assert read_recipe(verification.artifact())["summary"]["bad"] == {"zero bytes": 1}
    assert read_recipe(groups.artifact())["summary"]["images"] == 8
    with pytest.raises(UserError, match=r"^s3://bucket/city/train: none of 9 panoramas can be cut\."):
        workflows.CropPanoramas(artifacts_folder=tmp_path / "A", **folders).run()
    with pytest.raises(UserError, match=r"none of the 9 files is a usable image, .*Photos need a GPS position in EXIF"):
        workflows.BuildManifest(**(given | {"source": "exif"})).run()


def test_a_list_of_this_machine_needs_no_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_manifest.images.object_store.client_of", None)
    given: dict[str, Any] = {
        "artifacts_folder": tmp_path / "A",
        "lists_folder": tmp_path,
        "dataset_folder": "s3://b/city",
    }
    names = [f"@05000{east}.00@4000005.00@10@S@@@p{east}@@15@@@@201506@@.jpg" for east in (10, 20)]
    (tmp_path / "train_images_paths.txt").write_text("".join(f"{name}\n" for name in names))
    task = workflows.BuildManifest(**given)
    task.run()
    assert read_table(task.artifact(), "manifest")["path"].to_list() == names
    assert read_recipe(task.artifact())["summary"]["origin"] == "s3://b/city/train"
    expected = (
        rf"^lists_folder = {tmp_path}: no list {tmp_path}/test/queries_v1_images_paths\.txt of the images at s3://b"
    )
    with pytest.raises(UserError, match=expected):
        workflows.BuildManifest(part="test/queries", **given).complete()


@pytest.mark.parametrize("name", ["artifacts_folder", "groups_path", "output_folder"])
def test_only_images_may_be_in_a_bucket(name: str) -> None:
    task: Any = workflows.CropPanoramas if name == "output_folder" else workflows.TrainCosPlace
    with pytest.raises(UserError, match=rf"^{name} = s3://bucket/x: must be on this machine\. Only images can be at"):
        task(**{name: "s3://bucket/x"})
    assert not Path("s3:").exists()
