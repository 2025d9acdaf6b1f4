"""Processes that train together, over gloo on the CPU: the same as one process with the same global batch."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from data_manifest.errors import UserError
from data_manifest.image_size import ImageSize
from pipeline.groups import build_groups
from pipeline.manifest import build_manifest
from pipeline.settings import GroupSettings
from tests.workflows.conftest import write_images
from training.__main__ import main
from training.command_line import arguments_for
from training.settings import AugmentationSettings, NetworkSettings, TrainingSettings

ROOT = Path(__file__).parents[2]
NETWORK = NetworkSettings("SqueezeNet1_1", 16, backbone_weights="none", train_all_layers=True)
SIZE = AugmentationSettings(ImageSize(40, 48))
TRAINING = TrainingSettings(batch_size=4, groups_num=1, epochs_num=2, iterations_per_epoch=3, lr=1e-3)


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """What to train on, and how."""
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


def test_two_processes_are_as_one(arguments: list[str], tmp_path: Path) -> None:
    for processes in (1, 2):
        command = _command(arguments, tmp_path / str(processes), processes)
        done = subprocess.run(command, env=_environment(), cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("epoch 2 of 2: group 0") == 1, "one of them tells"
    one, two = ((tmp_path / name / "training").glob("*/current") for name in "12")
    (one_folder,), (two_folder,) = one, two
    assert one_folder.resolve().name == two_folder.resolve().name
    metrics = [pl.read_parquet(each / "metrics" / "*.parquet") for each in (one_folder, two_folder)]
    for column in ("loss", "recall_1", "recall_5"):
        np.testing.assert_allclose(metrics[0][column], metrics[1][column], rtol=1e-4)
    weights = [
        torch.load(next((tmp_path / name).glob("runs/*/*/last_checkpoint.pth")), weights_only=True) for name in "12"
    ]
    moved = TRAINING.lr * 6  # Adam moves a weight by about its rate in each of 6 steps
    apart = torch.cat(
        [(value - weights[1]["network"][key]).abs().ravel() for key, value in weights[0]["network"].items()]
    )
    # Adam makes a step of its full rate of the smallest gradient, also where rounding decides which way it points.
    assert (apart > moved / 100).float().mean() < 1e-3
    assert apart.max() < 2 * moved


def test_one_that_is_killed_stops_all_with_a_message(arguments: list[str], tmp_path: Path) -> None:
    longer = [each for each in arguments if not each.startswith("--iterations-per-epoch")]
    longer += ["--iterations-per-epoch=2000", "--checkpoint-iterations=2"]
    command = _command(longer, tmp_path / "artifacts", 2)
    with subprocess.Popen(command, env=_environment(), cwd=ROOT, stderr=subprocess.PIPE, text=True) as launcher:
        assert launcher.stderr is not None
        said = ""
        for line in launcher.stderr:
            said += line
            if "epoch 1 of 2: group" in line:
                children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
                os.kill(int(children[1]), signal.SIGKILL)
    assert launcher.returncode != 0
    assert re.search(r"ERROR: process \d of 2 was killed by SIGKILL, so all were stopped: give the same", said), said


def test_shares_that_cannot_be_equal_are_refused(arguments: list[str], tmp_path: Path) -> None:
    more = [f"--artifacts-folder={tmp_path}", "--batch-size=3", "--num-processes=2"]
    with pytest.raises(UserError, match="batch_size = 3: 2 processes cannot have equal shares of a batch"):
        main([*arguments, *more])
