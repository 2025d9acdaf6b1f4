"""A killed and resumed run equals an uninterrupted one."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from data_manifest.tables import read_table
from tests.helpers import fork, needs_timm
from tests.training.conftest import WriteGroups, assert_same_future, write_groups_in
from training.data.settings import AugmentationSettings
from training.loop.step import TrainStep
from training.loop.stopping import StoppedError
from training.loop.trainer import train
from training.network.settings import NetworkSettings
from training.settings import RuntimeSettings, TrainingSettings

SIZES, EPOCHS, ITERATIONS = {0: 4, 3: 5}, 2, 5
SQUEEZENET = "SqueezeNet1_0"


class Killed(BaseException):
    """Ends a run as SIGKILL does: nothing is saved."""


def _settings(backbone: str, num_workers: int = 0, **training: Any) -> dict[str, Any]:
    lengths = {"epochs_num": EPOCHS, "iterations_per_epoch": ITERATIONS, "batch_size": 3, "groups_num": 2}
    rates = {"lr": 1e-3, "classifiers_lr": 1e-2, "warmup_iterations": 5, "lr_decay": 0.5}
    return {
        "network": NetworkSettings(backbone, fc_output_dim=8, backbone_weights="none", train_all_layers=True),
        "augmentation": AugmentationSettings(image_size=32),
        "training": TrainingSettings(**{**lengths, **rates, **training}),
        "runtime": RuntimeSettings(device="cpu", num_workers=num_workers, checkpoint_iterations=2),
        "validate": _recalls,
    }


def _recalls(network: nn.Module) -> dict[int, float]:
    """Return recalls that depend on every weight."""
    total = sum(float(value.double().sum()) for value in network.state_dict().values())
    return {1: total % 100}


def _train(folder: Path, run: str, settings: dict[str, Any]) -> None:
    train(folder / "groups", folder / "images", folder / run, **settings)


def _assert_same_end(run: Path, whole: Path) -> None:
    """Compare checkpoints and models of two runs, except for times and the number of resumes."""
    assert_same_future(run, whole)
    assert (run / "best_model.pth").read_bytes() == (whole / "best_model.pth").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an uninterrupted run of SqueezeNet1_0."""
    torch.set_num_threads(1)
    folder = write_groups_in(tmp_path_factory.mktemp("whole"), SIZES)
    _train(folder, "whole", _settings(SQUEEZENET))
    return folder / "whole"


@pytest.fixture
def kill_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that makes training die in the middle of a step, after a number of others."""
    step = TrainStep.__call__

    def kill_after(steps: int) -> None:
        left = iter(range(steps))

        def dying_step(self: TrainStep, *batch: torch.Tensor) -> torch.Tensor:
            loss = step(self, *batch)
            if next(left, None) is None:
                raise Killed
            return loss

        monkeypatch.setattr("training.loop.step.TrainStep.__call__", dying_step)

    return kill_after


CASES: list[Any] = [("EfficientNet_B0", 0), (SQUEEZENET, 2)]
CASES += [pytest.param("timm/test_vit", 0, marks=needs_timm)]


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "num_workers"), CASES)
def test_run_killed_at_any_iteration_equals_a_whole_run(
    write_groups: WriteGroups, kill_after: Callable[[int], None], backbone: str, num_workers: int
) -> None:
    folder, settings = write_groups(SIZES), _settings(backbone, num_workers)
    _train(folder, "whole", _settings(backbone))
    choose, kills = random.Random(backbone), 0
    while True:
        # At least 2 steps, the checkpoint interval, so that the run progresses. Starting workers takes seconds.
        kill_after(choose.randrange(4, 7) if num_workers else choose.randrange(2, 5))
        torch.manual_seed(choose.randrange(1000))
        try:
            _train(folder, "killed", settings)
        except Killed:
            kills += 1
        else:
            break
    assert kills >= 2
    assert read_table(folder / "killed", "metrics")["resumes"].to_list()[-1] == kills
    _assert_same_end(folder / "killed", folder / "whole")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_stopped_run_saves_and_resumes(
    write_groups: WriteGroups,
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    number: signal.Signals,
) -> None:
    folder, settings = write_groups(SIZES), _settings(SQUEEZENET)
    step, steps = TrainStep.__call__, iter(range(ITERATIONS + 3))

    def step_with_signal(self: TrainStep, *batch: torch.Tensor) -> torch.Tensor:
        if next(steps, None) is None:
            os.kill(os.getpid(), number)
        return step(self, *batch)

    handler = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    found = signal.signal(number, handler)  # nohup or a background shell may ignore it
    request.addfinalizer(lambda: signal.signal(number, found))
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    monkeypatch.setattr("training.loop.step.TrainStep.__call__", step_with_signal)
    with pytest.raises(StoppedError) as stopped:
        _train(folder, "run", settings)
    monkeypatch.setattr("training.loop.step.TrainStep.__call__", step)
    reason = "Ctrl-C" if number == signal.SIGINT else number.name
    place = f"stopped: {reason} after iteration 4 of epoch 2; saved to {folder / 'run'}"
    assert str(stopped.value) == f"{place}. Run the same command again to resume."
    assert handlers == [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    saved = torch.load(folder / "run" / "last_checkpoint.pth", weights_only=True)
    assert (saved["epoch"], saved["part"]["iterations"]) == (1, 4)
    _train(folder, "run", settings)
    _assert_same_end(folder / "run", whole)


def test_validation_is_stopped_at_once(write_groups: WriteGroups, whole: Path) -> None:
    folder, settings = write_groups(SIZES), _settings(SQUEEZENET)

    def validate(network: nn.Module) -> dict[int, float]:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("validation was not interrupted")

    with pytest.raises(StoppedError, match=f"SIGTERM after iteration {ITERATIONS} of epoch 1; saved"):
        _train(folder, "run", {**settings, "validate": validate})
    _train(folder, "run", settings)
    _assert_same_end(folder / "run", whole)


def test_second_ctrl_c_stops_at_once(write_groups: WriteGroups, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*arguments: Any) -> torch.Tensor:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        raise AssertionError("the step was not interrupted")

    monkeypatch.setattr("training.loop.step.TrainStep.__call__", step)
    with pytest.raises(KeyboardInterrupt, match="resumes from the last checkpoint"):
        _train(write_groups(SIZES), "run", _settings(SQUEEZENET))


def test_ignored_signal_stays_ignored(write_groups: WriteGroups, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        settings = _settings(SQUEEZENET, epochs_num=1)

        def validate(network: nn.Module) -> dict[int, float]:
            os.kill(os.getpid(), signal.SIGHUP)
            return {1: 1.0}

        folder = write_groups(SIZES)
        _train(folder, "run", {**settings, "validate": validate})
        assert len(read_table(folder / "run", "metrics")) == 1
    finally:
        signal.signal(signal.SIGHUP, before)


def train_and_print(folder: Path) -> None:
    torch.set_num_threads(1)
    settings = _settings(SQUEEZENET, num_workers=1)
    _train(folder, "killed", {**settings, "on_percentage": lambda percentage: print(percentage, flush=True)})


def test_resumes_after_sigkill(write_groups: WriteGroups, whole: Path, tmp_path: Path) -> None:
    folder, lines = write_groups(SIZES), random.Random(7).randrange(3, 2 * ITERATIONS)
    killed = fork(tmp_path, train_and_print, folder)
    printed = tmp_path / "stdout"
    while killed.is_alive() and (not printed.exists() or printed.read_text().count("\n") < lines):
        time.sleep(0.01)
    killed.kill()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    _train(folder, "killed", _settings(SQUEEZENET))
    _assert_same_end(folder / "killed", whole)
    assert read_table(folder / "killed", "metrics")["resumes"].to_list()[-1] == 1
