from pathlib import Path

import pytest

from data_manifest.errors import UserError
from evaluation.localization.find_photos import find_photos


def test_a_folder_without_photos_is_an_error_unless_another_path_has_one(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").touch()
    with pytest.raises(UserError, match="notes: no image in this folder"):
        find_photos([tmp_path / "notes"])
    (tmp_path / "a.jpg").touch()
    paths = [tmp_path / "notes", tmp_path / "a.jpg", tmp_path / "none.jpg"]
    assert find_photos(paths) == paths
