"""Images without positions: none is lost, and their manifest is not that of the same names with positions."""

from pathlib import Path

import pytest

from data_manifest.errors import UserError
from data_manifest.tables import read_table
from pipeline.manifest.build_manifest import build_manifest
from pipeline.sources.keys_source import KEYS_SOURCE

NAMES = (
    *("miami/-znE9Q_f5I4N2KZLU3pTWg.jpg", "miami/b.png"),
    "athens/@0545981.19@4184971.70@10@S@@@pano@@174@@@@201409@@.jpg",
)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in (*NAMES, "miami/._b.png"):
        (tmp_path / "database" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "database" / name).touch()
    return tmp_path / "database"


def test_every_image_is_a_row_without_a_position(images: Path, tmp_path: Path) -> None:
    folder = build_manifest(images, tmp_path / "A", strict=False, source=KEYS_SOURCE)
    rows = read_table(folder, "manifest")
    assert sorted(rows["path"]) == sorted(NAMES)
    assert rows["utm_east"].is_nan().all()
    assert rows["utm_north"].is_nan().all()
    assert set(rows.columns) - {name for name in rows.columns if rows[name].null_count() == 3} == {
        *("path", "utm_east", "utm_north")
    }


def test_names_with_positions_have_another_manifest(images: Path, tmp_path: Path) -> None:
    named = build_manifest(images, tmp_path / "A", strict=False)
    keys = build_manifest(images, tmp_path / "A", strict=False, source=KEYS_SOURCE)
    again = build_manifest(images, tmp_path / "A", strict=False)
    assert (named, len({named, keys})) == (again, 2)
    assert read_table(named, "manifest")["path"].to_list() == [NAMES[2]]
    assert len(read_table(keys, "manifest")) == 3


def test_training_images_need_positions(images: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none of the \d files is a usable image, .* Only databases and queries may"):
        build_manifest(images, tmp_path / "A", source=KEYS_SOURCE)
