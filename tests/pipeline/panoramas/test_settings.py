from pathlib import Path
from typing import Any

import pytest

from data_manifest.errors import UserError
from pipeline.panoramas.settings import CropFolders, CropSettings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crops_num": 0}, "crops_num = 0: choose a number from 1 to 360."),
        ({"crops_num": 361}, "crops_num = 361: choose a number from 1 to 360."),
        ({"crop_size": 0}, "crop_size = 0: choose a number of at least 1."),
        ({"crop_quality": 101}, "crop_quality = 101: choose a number from 1 to 100."),
        ({"fov": 180}, "fov = 180: choose at least 1 and less than 180 degrees."),
    ],
)
def test_impossible_settings_are_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        CropSettings(**settings)
    assert str(error.value) == message


def test_two_different_folders_are_needed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it is the panoramas folder"):
        CropFolders(tmp_path, tmp_path).both()
    with pytest.raises(UserError, match="Pass --panoramas-folder and --output-folder"):
        CropFolders(tmp_path).both()
