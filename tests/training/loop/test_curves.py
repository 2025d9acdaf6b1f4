"""TensorBoard curves, read back by TensorBoard."""

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from data_manifest.errors import UserError
from data_manifest.tables import read_table
from tests.training.conftest import WriteGroups
from training.loop.trainer import train
from training.settings import RuntimeSettings

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
WITH_CURVES = RuntimeSettings(device="cpu", num_workers=0, checkpoint_iterations=2, tensorboard=True)


@pytest.fixture(autouse=True)
def _a_point_each_two_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.loop.curves.LOSS_INTERVAL", 2)


def _train(folder: Path, run: str, tiny: dict[str, Any], **changes: Any) -> None:
    settings = {**tiny, "runtime": WITH_CURVES, **changes}
    settings["training"] = dataclasses.replace(tiny["training"], iterations_per_epoch=5)
    train(folder / "groups", folder / "images", folder / run, **settings)


def _curves(run: Path) -> dict[str, dict[int, float]]:
    """Return values by name and step; no step may be repeated."""
    reader = accumulator.EventAccumulator(str(run / "tensorboard"))
    reader.Reload()
    found: dict[str, dict[int, float]] = {}
    for name in reader.Tags()["scalars"]:
        points = [(point.step, point.value) for point in reader.Scalars(name)]
        found[name] = dict(points)
        assert len(points) == len(found[name]), name
    return found


def test_curves_of_iterations_and_epochs(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups({0: 4, 3: 5})
    _train(folder, "run", tiny)
    curves, metrics = _curves(folder / "run"), read_table(folder / "run", "metrics")
    assert set(curves["train/loss"]) == set(curves["train/lr"]) == {2, 4, 5, 7, 9, 10}
    for epoch, mean in enumerate(metrics["loss"]):
        first, second, last = (curves["train/loss"][5 * epoch + step] for step in (2, 4, 5))
        assert (2 * first + 2 * second + last) / 5 == pytest.approx(mean, rel=1e-5)
        assert curves["epoch/loss"][5 * epoch + 5] == pytest.approx(mean, rel=1e-6)
    assert curves["epoch/recall_5"] == {5: 60.0, 10: 60.0}
    assert "epoch/recall_10" not in curves, "this validation has no R@10"


def test_resumed_run_repeats_no_points(
    write_groups: WriteGroups, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, saves = write_groups({0: 4, 3: 5}), []
    _train(folder, "whole", tiny)

    def die_in_validation(network: object) -> dict[int, float]:
        saves.append(network)
        if len(saves) == 2:
            raise KeyboardInterrupt  # the last checkpoint is of iteration 4 of epoch 2; there is a point at 5
        return {1: 50.0, 5: 60.0}

    with pytest.raises(KeyboardInterrupt):
        _train(folder, "killed", tiny, validate=die_in_validation)
    assert 10 in _curves(folder / "killed")["train/loss"]
    _train(folder, "killed", tiny)
    whole, killed = _curves(folder / "whole"), _curves(folder / "killed")
    for name in ("train/loss", "train/lr", "epoch/loss", "epoch/recall_1"):
        assert killed[name] == whole[name]


def test_curves_enabled_later_include_finished_epochs(write_groups: WriteGroups, tiny: dict[str, Any]) -> None:
    folder = write_groups({0: 4, 3: 5})
    _train(folder, "run", tiny, runtime=dataclasses.replace(WITH_CURVES, tensorboard=False))
    assert not (folder / "run" / "tensorboard").exists()
    longer = dataclasses.replace(tiny["training"], epochs_num=3)
    _train(folder, "run", {**tiny, "training": longer})
    curves = _curves(folder / "run")
    assert set(curves["epoch/loss"]) == {5, 10, 15}
    assert set(curves["train/loss"]) == {12, 14, 15}


def test_missing_tensorboard_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    RuntimeSettings()
    with pytest.raises(UserError, match="tensorboard = True: package not installed: pip install"):
        RuntimeSettings(tensorboard=True)
