import logging
from pathlib import Path

import pytest
import torch

from data_manifest.errors import UserError
from training.loop.checkpoints import check_same_settings, load_checkpoint, save_checkpoint


def _save(run_folder: Path, *epochs: int) -> None:
    for epoch in epochs:
        save_checkpoint({"epoch": epoch, "weight": torch.full((1000,), float(epoch))}, run_folder)


def _spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _epoch(run_folder: Path) -> int | None:
    checkpoint = load_checkpoint(run_folder)
    return None if checkpoint is None else checkpoint["epoch"]


def test_loads_the_last_of_two_checkpoints(tmp_path: Path) -> None:
    assert _epoch(tmp_path) is None
    _save(tmp_path, 1, 2, 3)
    assert _epoch(tmp_path) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last_checkpoint.pth", "previous_checkpoint.pth"]


@pytest.mark.parametrize("damage", ["flipped bit", "half", "empty"])
def test_broken_checkpoint_is_replaced_by_the_previous_one(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    _save(tmp_path, 1, 2)
    last = tmp_path / "last_checkpoint.pth"
    if damage == "flipped bit":
        _spoil(last)
    else:
        last.write_bytes(last.read_bytes()[: last.stat().st_size // 2 if damage == "half" else 0])
    with caplog.at_level(logging.INFO):
        assert _epoch(tmp_path) == 1
    assert f"broken checkpoint {last}" in caplog.text
    assert f"checkpoint {tmp_path / 'previous_checkpoint.pth'}" in caplog.text
    assert (tmp_path / "broken_checkpoint.pth").exists()
    _save(tmp_path, 3)
    _spoil(last)
    assert _epoch(tmp_path) == 1, "the broken one has not replaced the previous one"


def test_resumes_after_a_kill_between_two_renames(tmp_path: Path) -> None:
    _save(tmp_path, 1, 2)
    (tmp_path / "last_checkpoint.pth").rename(tmp_path / "previous_checkpoint.pth")
    assert _epoch(tmp_path) == 2


def test_failed_write_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save(tmp_path, 1)

    def fail(content: object, file: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(UserError, match=r"Cannot write .*last_checkpoint.pth: .*No space left"):
        _save(tmp_path, 2)
    assert _epoch(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last_checkpoint.pth"]


def test_unreadable_checkpoints_are_an_error(tmp_path: Path) -> None:
    _save(tmp_path, 1, 2)
    for path in tmp_path.iterdir():
        _spoil(path)
    with pytest.raises(UserError, match=f"No checkpoint in {tmp_path} is readable. Remove the folder"):
        load_checkpoint(tmp_path)


def test_other_settings_error_lists_the_differences() -> None:
    stored = {"batch_size": 32, "lr": 0.1, "old": 1}
    check_same_settings(stored, dict(stored), Path("run"))
    expected = r"other settings: batch_size = 32 there, 16 now; new = None there, 2 now; old = 1 there, None now\."
    with pytest.raises(UserError, match=expected):
        check_same_settings(stored, {"batch_size": 16, "lr": 0.1, "new": 2}, Path("run"))
