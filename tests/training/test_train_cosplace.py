"""The training stage, from published groups to a published model."""

import dataclasses
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from torch import nn

from data_manifest.errors import UserError
from data_manifest.store.recipe import read_recipe
from training.settings import TrainingSettings
from training.train_cosplace import train_cosplace


class Validation:
    """Returns the given recalls, one per epoch."""

    manifests, settings = {"database": "0" * 16, "queries": "1" * 16}, dict[str, Any]()

    def __init__(self, recalls: list[float], problem: str = "") -> None:
        self._recalls, self._problem = iter(recalls), problem
        self.images = dict[str, tuple[Path, pl.LazyFrame]]()

    def check(self) -> None:
        if self._problem:
            raise UserError(self._problem)

    def __call__(self, network: nn.Module) -> dict[int, float]:
        return {1: next(self._recalls)}


def _train(folder: Path, tiny: dict[str, Any], recalls: list[float], problem: str = "", **training: Any) -> Path:
    settings = {name: value for name, value in tiny.items() if name != "validate"}
    changes = {"groups_num": 1, "iterations_per_epoch": 1, **training}
    settings["training"] = dataclasses.replace(settings["training"], **changes)
    validation = Validation(recalls, problem)
    return train_cosplace(folder / "groups", folder / "images", folder / "artifacts", validation, **settings)


def _epochs(model: Path) -> int:
    return len(pl.read_parquet(model / "metrics" / "*.parquet"))


def test_patience_stops_early_and_more_resumes(folder: Path, tiny: dict[str, Any]) -> None:
    early = _train(folder, tiny, [10, 30, 20, 25], epochs_num=20, patience=2)
    assert _epochs(early) == 4
    text = "best epoch 2 of 4, validation R@1 30.0, stopped early after 2 epochs without a better R@1"
    assert text in read_recipe(early)["summary"]["made"]
    later = _train(folder, tiny, [40, 1, 2, 3], epochs_num=20, patience=3)
    assert _epochs(later) == 8
    assert "best epoch 5 of 8, validation R@1 40.0" in read_recipe(later)["summary"]["made"]
    assert len(list((folder / "artifacts" / "runs").glob("*/*"))) == 1


def test_run_with_more_epochs_than_requested_is_an_error(folder: Path, tiny: dict[str, Any]) -> None:
    settings: TrainingSettings = tiny["training"]
    _train(folder, tiny, [30, 20, 40], epochs_num=3)
    with pytest.raises(UserError, match=r"patience = 1: .* already has 3 epochs, .* after 2 may .*--patience"):
        _train(folder, tiny, [], epochs_num=3, patience=1)
    with pytest.raises(UserError, match=r"epochs_num = 2: .* already has 3 epochs, .* after 2 may .*--epochs-num"):
        _train(folder, tiny, [], epochs_num=2)
    assert settings.patience is None


def test_unreadable_validation_set_is_an_error_before_training(folder: Path, tiny: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="broken"):
        _train(folder, tiny, [1.0], "broken")
    assert [path.name for path in (folder / "artifacts").iterdir()] == [".names"]


def test_without_a_recall_above_0_publishes_the_last_model(folder: Path, tiny: dict[str, Any]) -> None:
    model = _train(folder, tiny, [0.0, 0.0, 0.0], epochs_num=3)
    assert "last of 3 epochs, because no epoch has a validation R@1 above 0" in read_recipe(model)["summary"]["made"]
    card = (model / "model_card.md").read_text()
    assert "Of the last epoch, because no epoch has an R@1 above 0" in card
    assert "| epoch | 3 of 3 |" in card


def test_patience_counts_epochs_with_recall_0(folder: Path, tiny: dict[str, Any]) -> None:
    model = _train(folder, tiny, [0.0] * 20, epochs_num=20, patience=3)
    assert _epochs(model) == 3
    assert "has a validation R@1 above 0, stopped early after 3 epochs" in read_recipe(model)["summary"]["made"]


@pytest.mark.parametrize("epochs", [0, 1])
def test_unseeded_run_counts_as_finished(folder: Path, tiny: dict[str, Any], epochs: int) -> None:
    model = _train(folder, tiny, [10.0], epochs_num=epochs, seed=-1)
    content = (model / "model.pth").read_bytes()
    assert _train(folder, tiny, [], epochs_num=epochs, seed=-1) == model
    assert (model / "model.pth").read_bytes() == content
    assert read_recipe(model)["settings"]["seed"] == -1
