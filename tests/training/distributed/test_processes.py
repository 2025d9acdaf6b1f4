"""Processes that train together, over gloo on the CPU: the same as one process with the same global batch."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from tests.training.conftest import assert_same_future
from tests.workflows.conftest import write_images
from training.__main__ import main
from training.command_line import arguments_for
from training.network.settings import NetworkSettings
from training.settings import AugmentationSettings, TrainingSettings

ROOT = Path(__file__).parents[3]
NETWORK = NetworkSettings("SqueezeNet1_1", 16, backbone_weights="none", train_all_layers=True)
SIZE = AugmentationSettings(ImageSize(40, 48))
TRAINING = TrainingSettings(batch_size=4, groups_num=1, epochs_num=2, iterations_per_epoch=3, lr=1e-3)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What to train on, and how."""
    tmp_path = tmp_path_factory.mktemp("city")
    write_images(tmp_path / "train", (2015, 2016))
    write_images(tmp_path / "database", (2017,))
    write_images(tmp_path / "queries", (2018,), shift_m=2.0)
    made = tmp_path / "tables"
    manifests = {name: build_manifest(tmp_path / name, made) for name in ("train", "database", "queries")}
    folders = {
        "groups_path": build_groups(manifests["train"], made, GroupSettings(min_images_per_class=2, N=1, L=1)),
        "images_folder": tmp_path / "train",
        **{"val_database_manifest": manifests["database"], "val_database": tmp_path / "database"},
        **{"val_queries_manifest": manifests["queries"], "val_queries": tmp_path / "queries"},
    }
    return [*arguments_for(folders, [NETWORK, SIZE, TRAINING]), "--device=cpu", "--num-workers=0"]


def _command(arguments: list[str], artifacts: Path, processes: int) -> list[str]:
    more = (f"--artifacts-folder={artifacts}", f"--num-processes={processes}")
    return [sys.executable, "-m", "training", *arguments, *more]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(command, env=_environment(), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def _checkpoint(artifacts: Path) -> Path:
    """Where a run's last checkpoint lies, or will."""
    return next(artifacts.glob("runs/*/*"), artifacts) / "last_checkpoint.pth"


@pytest.fixture(scope="module")
def of_two(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts of two processes that nothing disturbs, started by torchrun as if on two machines."""
    artifacts = tmp_path_factory.mktemp("two")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    rendezvous = ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "-m", "training"]
    command = [*torchrun, *rendezvous, *arguments, f"--artifacts-folder={artifacts}"]
    machines = [
        subprocess.Popen(command, env=_environment(), cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = "".join(each.communicate()[1] for each in machines)
    assert [each.returncode for each in machines] == [0, 0], said
    assert said.count("epoch 2 of 2: group 0") == 1, "one of them tells"
    return artifacts


@pytest.mark.slow
def test_two_processes_are_as_one(arguments: list[str], of_two: Path, tmp_path: Path) -> None:
    _run(_command(arguments, tmp_path, 1))
    _assert_close(tmp_path, of_two)


def _assert_close(some: Path, other: Path) -> None:
    """Compare the models and metrics of two artifacts folders."""
    one, two = (next(each.glob("training/*/current")).resolve() for each in (some, other))
    assert one.name == two.name
    metrics = [pl.read_parquet(each / "metrics" / "*.parquet") for each in (one, two)]
    for column in ("loss", "recall_1", "recall_5"):
        np.testing.assert_allclose(metrics[0][column], metrics[1][column], rtol=1e-4)
    weights = [torch.load(_checkpoint(each), weights_only=True)["network"] for each in (some, other)]
    moved = TRAINING.lr * 6  # Adam moves a weight by about its rate in each of 6 steps
    apart = torch.cat([(value - weights[1][key]).abs().ravel() for key, value in weights[0].items()])
    # Adam makes a step of its full rate of the smallest gradient, also where rounding decides which way it points.
    assert (apart > moved / 100).float().mean() < 1e-3
    assert apart.max() < 2 * moved


AGAIN = """
import sys
from training.distributed.launch import launch
launch(2, sys.argv[1:], lambda done: print(done, flush=True))
"""


@pytest.mark.slow
def test_one_that_is_killed_stops_all_and_the_run_goes_on_as_if_nothing_had_been(
    arguments: list[str], of_two: Path, tmp_path: Path
) -> None:
    command = [*_command(arguments, tmp_path, 2), "--checkpoint-iterations=1"]
    with subprocess.Popen(command, env=_environment(), cwd=ROOT, stderr=subprocess.PIPE, text=True) as launcher:
        while not _checkpoint(tmp_path).exists() and launcher.poll() is None:
            time.sleep(0.01)
        children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
        os.kill(int(children[1]), signal.SIGKILL)
        _, said = launcher.communicate()
    assert launcher.returncode != 0
    assert re.search(r"ERROR: process \d of 2 was killed by SIGKILL, so all were stopped: give the same", said), said
    again = _run([sys.executable, "-c", AGAIN, *command[3:]])
    assert re.search(r"going on with epoch [12]", again.stderr)
    assert again.stdout.split()[-1] == "100"
    assert_same_future(_checkpoint(tmp_path).parent, _checkpoint(of_two).parent)


def test_shares_that_cannot_be_equal_are_refused(arguments: list[str], tmp_path: Path) -> None:
    more = [f"--artifacts-folder={tmp_path}", "--batch-size=3", "--num-processes=2"]
    with pytest.raises(UserError, match="batch_size = 3: 2 processes cannot have equal shares of a batch"):
        main([*arguments, *more])


STOPPING = """
import signal, sys
from training.__main__ import main
from training.distributed.processes import is_first
from training.loop.step import TrainStep

step, steps = TrainStep.__call__, iter(range(int(sys.argv[1])))

def stopped_after(self, *batch):
    loss = step(self, *batch)
    next(steps)
    if steps.__length_hint__() == 0 and is_first():
        signal.raise_signal(signal.SIGTERM)
    return loss

TrainStep.__call__ = stopped_after
main(sys.argv[2:])
"""


@pytest.mark.slow
def test_a_run_continues_within_an_epoch_with_another_number_of_processes(
    arguments: list[str], of_two: Path, tmp_path: Path
) -> None:
    """Two processes, one, and two again, each change in the middle of an epoch."""
    (tmp_path / "stopping.py").write_text(STOPPING)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d"]
    two, one = [*torchrun, "--rdzv-endpoint=localhost:0"], [sys.executable]
    places = []
    for python, steps in ((two, 1), (one, 3)):
        command = [*python, str(tmp_path / "stopping.py"), str(steps), *arguments, f"--artifacts-folder={tmp_path}"]
        stopped = subprocess.run(command, env=_environment(), cwd=ROOT, capture_output=True, text=True, check=False)
        assert "stopped: SIGTERM after iteration" in stopped.stderr, stopped.stderr
        saved = torch.load(_checkpoint(tmp_path), weights_only=True)
        places.append((saved["epoch"], saved["part"]["iterations"]))
    assert places == [(0, 1), (1, 1)], "within the first and the second epoch"
    _run(_command(arguments, tmp_path, 2))
    _assert_close(tmp_path, of_two)
