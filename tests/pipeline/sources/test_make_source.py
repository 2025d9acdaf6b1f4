from pathlib import Path

import pytest

from pipeline.sources.make_source import source_of


@pytest.mark.parametrize(
    ("name", "source"),
    [("@0545981.19@4184971.70@10@S@@@pano@@174@@@@201409@@.jpg", "names"), ("IMG_0001.JPG", "exif")],
)
def test_the_source_of_a_folder_follows_its_names(name: str, source: str, tmp_path: Path) -> None:
    (tmp_path / "2015" / "06").mkdir(parents=True)
    (tmp_path / "2015" / "06" / name).touch()
    (tmp_path / ".hidden").touch()
    assert source_of(tmp_path) == source


def test_an_empty_folder_is_read_by_exif(tmp_path: Path) -> None:
    assert source_of(tmp_path) == "exif"
