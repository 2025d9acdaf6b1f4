"""Data-parallel training over gloo on the CPU equals one process with the same global batch."""

import itertools
import os
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import polars as pl
import pytest
import torch

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from data_manifest.store.recipe import read_recipe
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from tests.helpers import as_main, fork, needs_timm, run_forked, run_module, write_images
from tests.training.conftest import assert_same_future, leaves, run_ranks
from training.__main__ import arguments_for, main
from training.data.settings import AugmentationSettings
from training.distributed.processes import is_rank_zero
from training.loop.step import TrainStep
from training.network.settings import NetworkSettings
from training.settings import TrainingSettings

NETWORK = NetworkSettings("SqueezeNet1_1", 16, backbone_weights="none", train_all_layers=True)
SIZE = AugmentationSettings(ImageSize(40, 48))
TRAINING = TrainingSettings(batch_size=4, groups_num=1, epochs_num=2, iterations_per_epoch=3, lr=1e-3)
SHARDED = ["--shard-classifier=true"]


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the command-line arguments of a tiny training."""
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


def _train_in_two(*arguments: object) -> list[CompletedProcess[str]]:
    return run_ranks(2, _train, *arguments)


def _checkpoint(artifacts: Path) -> Path:
    """Return the path of the run's last checkpoint."""
    return next(artifacts.glob("runs/*/*"), artifacts) / "last_checkpoint.pth"


@pytest.fixture(scope="module")
def of_two(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the artifacts of an uninterrupted training in two processes."""
    artifacts = tmp_path_factory.mktemp("two")
    for done in _train_in_two([*arguments, f"--artifacts-folder={artifacts}"]):
        assert done.returncode == 0, done.stderr
    return artifacts


def test_two_processes_equal_one(arguments: list[str], of_two: Path, tmp_path: Path) -> None:
    done = run_module("training", *arguments, f"--artifacts-folder={tmp_path}", '--data-set={"split": "area"}')
    assert done.returncode == 0, done.stderr
    _assert_close(tmp_path, of_two)
    (model,) = tmp_path.glob("training/*/current")
    assert read_recipe(model)["summary"]["data_set"] == {"split": "area"}, "recorded outside of the digest"


@needs_timm
@pytest.mark.slow
def test_two_processes_with_a_timm_backbone_equal_one(arguments: list[str], tmp_path: Path) -> None:
    command = [*arguments, "--backbone=timm/test_vit", "--image-size=48", "--gradient-checkpointing=true"]
    one, two = ([*command, f"--artifacts-folder={tmp_path / name}"] for name in ("one", "two"))
    for done in (run_module("training", *one), *_train_in_two(two)):
        assert done.returncode == 0, done.stderr
    _assert_close(tmp_path / "one", tmp_path / "two")


def _assert_close(some: Path, other: Path) -> None:
    """Compare the models and metrics in two artifacts folders."""
    one, two = (next(each.glob("training/*/current")).resolve() for each in (some, other))
    assert one.name == two.name
    metrics = [pl.read_parquet(each / "metrics" / "*.parquet") for each in (one, two)]
    for column in ("loss", "recall_1", "recall_5"):
        np.testing.assert_allclose(metrics[0][column], metrics[1][column], rtol=1e-4)
    weights = [torch.load(_checkpoint(each), weights_only=True)["network"] for each in (some, other)]
    moved = TRAINING.lr * 6  # Adam moves a weight by about its rate in each of 6 steps
    apart = torch.cat([(value - weights[1][key]).abs().ravel() for key, value in weights[0].items()])
    # Adam takes a full step for the smallest gradient, whose sign may depend on rounding.
    assert (apart > moved / 100).float().mean() < 1e-3
    assert apart.max() < 2 * moved


@pytest.mark.slow
def test_killed_process_stops_all_and_two_nodes_resume(arguments: list[str], of_two: Path, tmp_path: Path) -> None:
    command = ["training", *arguments, f"--artifacts-folder={tmp_path}", "--checkpoint-iterations=1"]
    launcher = fork(tmp_path, as_main, *command, "--num-processes=2")
    while not _checkpoint(tmp_path).exists() and launcher.is_alive():
        time.sleep(0.01)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    os.kill(int(children[1]), signal.SIGKILL)
    launcher.join()
    said = (tmp_path / "stderr").read_text()
    assert launcher.exitcode != 0
    assert re.search(r"ERROR: Rank \d of 2 was killed by SIGKILL, so all were stopped\. Run the same", said), said
    machines = run_ranks(2, as_main, *command, nodes=2)
    said = "".join(each.stderr for each in machines)
    assert [each.returncode for each in machines] == [0, 0], said
    assert re.search(r"resuming at epoch [12]", said)
    assert said.count("epoch 2/2  group 0") == 1, "only rank 0 logs"
    assert_same_future(_checkpoint(tmp_path).parent, _checkpoint(of_two).parent)


@pytest.fixture(scope="module")
def of_two_sharded(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the artifacts of an uninterrupted training in two processes that split the classifier."""
    artifacts = tmp_path_factory.mktemp("sharded")
    for done in _train_in_two([*arguments, *SHARDED, f"--artifacts-folder={artifacts}"]):
        assert done.returncode == 0, done.stderr
    return artifacts


def test_sharded_classifier_equals_whole(of_two: Path, of_two_sharded: Path) -> None:
    _assert_close(of_two, of_two_sharded)
    whole, gathered = (torch.load(_checkpoint(each), weights_only=True) for each in (of_two, of_two_sharded))
    whole, gathered = (dict(leaves(each["classifiers"])) for each in (whole, gathered))
    assert list(whole) == list(gathered)
    for name, value in whole.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(gathered[name], value, rtol=1e-3, atol=1e-5 * float(value.abs().max()), msg=name)


def _run_in_turns(
    arguments: list[str], artifacts: Path, turns: Sequence[tuple[int, int | None]]
) -> list[tuple[int, int]]:
    """Train in turns of one process, or two that split the classifier, and of some steps; return where each stopped."""
    command, places = [*arguments, f"--artifacts-folder={artifacts}"], []
    for num_processes, steps in turns:
        alone = num_processes == 1
        for done in [run_forked(_train, command, steps)] if alone else _train_in_two([*command, *SHARDED], steps):
            if steps is None:
                assert done.returncode == 0, done.stderr
            else:
                assert "stopped: SIGTERM after iteration" in done.stderr, done.stderr
        saved = torch.load(_checkpoint(artifacts), weights_only=True)
        places.append((saved["epoch"], saved["part"]["iterations"]))
    return places


def test_sharded_training_resumes_exactly(arguments: list[str], of_two_sharded: Path, tmp_path: Path) -> None:
    assert _run_in_turns(arguments, tmp_path, [(2, 2), (2, None)]) == [(0, 2), (2, 0)]
    assert_same_future(_checkpoint(tmp_path).parent, _checkpoint(of_two_sharded).parent)


@pytest.mark.slow
def test_resumes_within_an_epoch_with_another_number_of_processes(
    arguments: list[str], of_two: Path, tmp_path: Path
) -> None:
    """The classifier is sharded, whole, and sharded again."""
    assert _run_in_turns(arguments, tmp_path, [(2, 1), (1, 3), (2, None)]) == [(0, 1), (1, 1), (2, 0)]
    _assert_close(tmp_path, of_two)


def test_classifier_of_one_process_cannot_be_sharded(arguments: list[str], tmp_path: Path) -> None:
    expected = "shard_classifier = True: a single process has all classes; give --num-processes 2 or more"
    with pytest.raises(UserError, match=expected):
        main([*arguments, *SHARDED, f"--artifacts-folder={tmp_path}"])


def test_unequal_shares_are_an_error(arguments: list[str], tmp_path: Path) -> None:
    more = [f"--artifacts-folder={tmp_path}", "--batch-size=3", "--num-processes=2"]
    with pytest.raises(UserError, match="batch_size = 3: not divisible by the number of processes, 2"):
        main([*arguments, *more])


def _train(arguments: list[str], stopped_after: int | None = None) -> None:
    """Train, and send SIGTERM to rank 0 after this number of steps."""
    step, steps = TrainStep.__call__, itertools.count(1)

    def stopping_step(self: TrainStep, images: torch.Tensor, class_indices: torch.Tensor) -> torch.Tensor:
        loss = step(self, images, class_indices)
        if next(steps) == stopped_after and is_rank_zero():
            signal.raise_signal(signal.SIGTERM)
        return loss

    TrainStep.__call__ = stopping_step  # type: ignore[method-assign]
    torch.set_num_threads(1)
    main(arguments)
