"""Warnings about images that changed after training started, for resumed runs and finished models."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from data_manifest.tables import read_table
from tests.training.test_train_cosplace import Validation
from training.image_changes import ROLES, TRAIN, VALIDATION, warn_of_changes
from training.train_cosplace import train_cosplace


class Killed(BaseException):
    """Ends a run as SIGKILL does: nothing is saved."""


def repaint(file: Path) -> None:
    """Replace an image, with another modification time."""
    times = file.stat()
    Image.new("RGB", (48, 40), (255, 255, 255)).save(file)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns + 1_000_000_000))


def train(folder: Path, tiny: dict[str, Any], epochs: int, recalls: list[float] | None = None) -> Path:
    settings = {name: value for name, value in tiny.items() if name != "validate"}
    changes = {"groups_num": 1, "iterations_per_epoch": 1, "epochs_num": epochs}
    settings["training"] = dataclasses.replace(settings["training"], **changes)
    validation = Validation([50.0] * epochs if recalls is None else recalls)
    validation.images = {role: (folder / role, pl.LazyFrame({"path": ["0.png", "1.png"]})) for role in VALIDATION}
    return train_cosplace(folder / "groups", folder / "images", folder / "artifacts", validation, **settings)


def test_model_records_its_images(folder: Path, tiny: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    model = train(folder, tiny, 1)
    states = read_table(model, TRAIN)
    assert sorted(states["path"]) == sorted(str(file.relative_to(folder / "images")) for file in folder.glob("*/g0/*"))
    for path, size, modified_ns in states.iter_rows():
        found = (folder / "images" / path).stat()
        assert (size, modified_ns) == (found.st_size, found.st_mtime_ns)
    assert [read_table(model, table)["path"].to_list() for table in VALIDATION.values()] == [["0.png", "1.png"]] * 2
    assert "since training started" not in caplog.text


def test_resumed_run_warns_of_changed_images(
    folder: Path, tiny: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    first = train(folder, tiny, 1)
    for file in sorted((folder / "images" / "g0").iterdir())[:3]:
        repaint(file)
    sorted((folder / "images" / "g0").iterdir())[5].unlink()
    repaint(next((folder / "images" / "g3").iterdir()))  # of a group that is not trained on
    repaint(folder / "queries" / "1.png")
    second = train(folder, tiny, 2)
    (run,) = (folder / "artifacts" / "runs").glob("*/*")
    advice = f"since training started. To train on today's images, remove {run}, then run again"
    assert f"3 of 12 training images changed, 1 of 12 training images are missing {advice}" in caplog.text
    assert f"1 of 2 validation query images changed {advice}" in caplog.text
    assert "validation database" not in caplog.text
    assert read_table(second, TRAIN).equals(read_table(first, TRAIN)), "it was trained on both"
    caplog.clear()
    for model in (first, second):
        warn_of_changes(model, {TRAIN: folder / "images"}, remove=[model, run])
    assert caplog.text.count(f"3 of 12 training images changed, 1 of 12 training images are missing {advice[:22]}") == 2
    assert f"remove {second} and {run}, then run again" in caplog.text


def test_finished_training_warns_of_changed_images(
    folder: Path, tiny: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    model = train(folder, tiny, 1)
    repaint(next((folder / "images" / "g0").iterdir()))
    (folder / "database" / "0.png").unlink()
    assert train(folder, tiny, 1) == train(folder, tiny, 1) == model
    changes = "1 of 12 training images changed, 1 of 2 validation database images are missing since training started"
    assert caplog.text.count(changes) == 1


def test_no_warning_of_unchanged_images_or_missing_folders(
    folder: Path, tiny: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    model = train(folder, tiny, 1)
    train(folder, tiny, 2)
    warn_of_changes(model, {TRAIN: folder / "nowhere", "of an older version": folder}, remove=[])
    assert "since training started" not in caplog.text


def test_states_recorded_before_the_first_checkpoint_are_replaced(
    folder: Path, tiny: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> dict[int, float]:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Validation, "__call__", die)
        with pytest.raises(Killed):
            train(folder, tiny, 1)
    (run,) = (folder / "artifacts" / "runs").glob("*/*")
    assert {path.name for path in run.iterdir()} >= set(ROLES)
    changed = next((folder / "images" / "g0").iterdir())
    repaint(changed)
    model = train(folder, tiny, 1)
    assert "since training started" not in caplog.text
    times = dict(read_table(model, TRAIN).select("path", "modified_ns").iter_rows())
    assert times[str(changed.relative_to(folder / "images"))] == changed.stat().st_mtime_ns


def test_unreadable_file_state_does_not_stop_training(
    folder: Path, tiny: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    loop = sorted((folder / "images" / "g0").iterdir())[-1]
    loop.unlink()
    loop.symlink_to(loop)
    model = train(folder, tiny, 1)
    assert read_table(model, TRAIN)["bytes"].null_count() == 1
    warn_of_changes(model, {TRAIN: folder / "images"}, remove=[])
    assert "since training started" not in caplog.text
