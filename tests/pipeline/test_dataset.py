from pathlib import Path

import pytest

from data_manifest.errors import UserError
from pipeline.dataset import MAX_NAME_BYTES, PARTS, DatasetSettings, data_set_name, plain_name

FOLDERS = {
    "train": "train",
    "val/database": "val/database",
    "val/queries": "val/queries",
    "test/database": "test/database",
    "test/queries": "test/queries_v1",
}


@pytest.mark.parametrize("part", PARTS)
def test_parts_lie_as_in_sf_xl(part: str) -> None:
    assert DatasetSettings(dataset_folder=Path("sf-xl/processed")).images(part) == Path(
        "sf-xl/processed", FOLDERS[part]
    )


def test_a_split_may_lie_elsewhere() -> None:
    settings = DatasetSettings(Path("all"), train_folder=Path("t"), val_folder=Path("v"), test_folder=Path("e"))
    expected = ["t", "v/database", "v/queries", "e/database", "e/queries_v1"]
    assert [str(settings.images(part)) for part in PARTS] == expected
    assert DatasetSettings(dataset_folder=Path("all"), val_folder=Path("v")).images("train") == Path("all/train")


def test_photos_are_every_part_but_one_with_a_folder_of_its_own() -> None:
    folders = DatasetSettings(photos_folder=Path("photos"), test_folder=Path("tokyo"), test_queries="queries")
    assert {folders.images(part) for part in ("photos", "train", "val/queries")} == {Path("photos")}
    assert folders.images("test/queries") == Path("tokyo/queries")


def test_queries_may_be_called_otherwise() -> None:
    settings = DatasetSettings(dataset_folder=Path("all"), test_queries="queries_night")
    assert settings.images("test/queries") == Path("all/test/queries_night")
    assert settings.images("val/queries") == Path("all/val/queries")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_nobody_has_named(part: str) -> None:
    split = part.split("/")[0]
    with pytest.raises(UserError) as error:
        DatasetSettings().images(part)
    assert str(error.value) == f"where are the {split} images? Give --dataset-folder, or --{split}-folder"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/data/sf-xl/processed/train", "sf-xl-processed-train"),
        ("/mnt/other/sf-xl/processed/train/", "sf-xl-processed-train"),
        ("/data/sf-xl/processed/val/queries", "sf-xl-processed-val-queries"),
        ("/data/sf-xl/processed/test/queries_night/", "sf-xl-processed-test-queries_night"),
        ("/test/database", "test-database"),
        ("/train", "train"),
        ("/a/train", "a-train"),
        ("/", "images"),
        ("/.hidden", "hidden"),
        ("/data/sf xl/@home/tr\u00e4n", "sf_xl-_home-tr\u00e4n"),
        ("/data/tra\u0308n", "data-tr\u00e4n"),  # as macOS writes it
        ("/srv/昼/city/train", "昼-city-train"),
        ("/srv/हिन्दी/train", "srv-हिन्दी-train"),
        ("/srv/\udcff/train", "srv-_-train"),
        ("/a/b/c\nd/e", "b-c_d-e"),
        ("/..", "images"),
    ],
)
def test_plain_names(folder: str, name: str) -> None:
    assert plain_name(Path(folder)) == name


def test_a_relative_folder_has_the_name_of_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert plain_name(Path("train")) == plain_name(tmp_path / "train")


def test_long_names_keep_their_end() -> None:
    name = plain_name(Path("/", "夜" * 80, "街" * 80, "train"))
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert name.endswith("街-train")


def test_folders_with_one_plain_name_have_names_of_their_own(tmp_path: Path) -> None:
    names = {}
    for disk in ("a", "b"):
        folder = tmp_path / disk / "sf-xl" / "processed" / "train"
        folder.mkdir(parents=True)
        names[disk] = data_set_name(folder, tmp_path / "artifacts")
    assert names == {"a": "sf-xl-processed-train", "b": "sf-xl-processed-train-2"}
