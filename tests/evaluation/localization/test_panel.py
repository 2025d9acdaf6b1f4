from pathlib import Path

import pytest
from PIL import Image

from data_manifest.errors import UserError
from evaluation.localization.located import Located, Match
from evaluation.localization.panel import check_panel, draw_panel


def test_a_path_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    check_panel(tmp_path / "panel.png")
    with pytest.raises(UserError, match="no such folder"):
        check_panel(tmp_path / "nowhere" / "panel.png")
    with pytest.raises(UserError, match="its suffix is not that of an image format"):
        check_panel(tmp_path / "panel.text")


def test_a_missing_database_image_leaves_its_tile_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    match = Match(1, 0.5, None, None, 5e5, 4e6, None, None, "none.png")
    located = [Located(str(tmp_path / "photo.png"), (match,)), Located("broken.jpg", error="cannot be opened")]
    draw_panel(located, tmp_path, tmp_path / "panel.png")
    with Image.open(tmp_path / "panel.png") as panel:
        assert panel.size == (2 * 252 + 12, 318)
    refused = Located("photo.jpg", refused="not certain enough (5 %)")
    draw_panel([*located[1:], refused], tmp_path, tmp_path / "none.png")
    assert caplog.messages == [f"--panel {tmp_path}/none.png: not written, because no photo has a match"]
    assert not (tmp_path / "none.png").exists()


def test_too_many_photos_for_a_jpeg_are_an_error(tmp_path: Path) -> None:
    match = Match(1, 0.5, None, None, 5e5, 4e6, None, None, "none.png")
    located = [Located("none.jpg", (match,))] * 215
    with pytest.raises(UserError, match=r"a JPEG has room for 214 photos, not 215\. Use \.png\."):
        draw_panel(located, tmp_path, tmp_path / "panel.jpg")
