from pathlib import Path

import pytest

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import PARTS
from pipeline.dataset_layout import DatasetSettings

FOLDERS = {
    "train": "train",
    "val/database": "val/database",
    "val/queries": "val/queries",
    "test/database": "test/database",
    "test/queries": "test/queries_v1",
}


@pytest.mark.parametrize("part", PARTS)
def test_parts_are_in_the_folders_of_sf_xl(part: str) -> None:
    assert DatasetSettings(dataset_folder=Path("sf-xl/processed")).images(part) == Path(
        "sf-xl/processed", FOLDERS[part]
    )


def test_splits_with_folders_of_their_own() -> None:
    settings = DatasetSettings(Path("all"), train_folder=Path("t"), val_folder=Path("v"), test_folder=Path("e"))
    expected = ["t", "v/database", "v/queries", "e/database", "e/queries_v1"]
    assert [str(settings.images(part)) for part in PARTS] == expected
    assert DatasetSettings(dataset_folder=Path("all"), val_folder=Path("v")).images("train") == Path("all/train")


def test_photos_folder_is_every_part_without_a_folder_of_its_own() -> None:
    folders = DatasetSettings(photos_folder=Path("photos"), test_folder=Path("tokyo"), test_queries="queries")
    assert {folders.images(part) for part in ("photos", "train", "val/queries")} == {Path("photos")}
    assert folders.images("test/queries") == Path("tokyo/queries")


def test_name_of_the_queries_folder() -> None:
    settings = DatasetSettings(dataset_folder=Path("all"), test_queries="queries_night")
    assert settings.images("test/queries") == Path("all/test/queries_night")
    assert settings.images("val/queries") == Path("all/val/queries")


@pytest.mark.parametrize("part", PARTS)
def test_missing_folder_is_an_error(part: str) -> None:
    split = part.split("/")[0]
    with pytest.raises(UserError) as error:
        DatasetSettings().images(part)
    name = {"train": "training", "val": "validation", "test": "test"}[split]
    assert str(error.value) == f"No {name} images given. Pass --dataset-folder or --{split}-folder."
