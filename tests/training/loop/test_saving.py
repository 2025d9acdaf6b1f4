"""All ranks save sharded classifiers together, though their clocks differ."""

import math
from pathlib import Path

import pytest
import torch

from tests.training.conftest import run_ranks
from training.data.groups import Group
from training.distributed.processes import is_rank_zero, process_group, rank
from training.loop.checkpoints import load_checkpoint
from training.loop.saving import Saver
from training.loop.state import TrainingState
from training.network.settings import NetworkSettings
from training.settings import RuntimeSettings, TrainingSettings


def save_by_one_clock(run_folder: Path, rank_of_clock: int) -> None:
    with process_group("cpu"):
        network, groups = NetworkSettings("SqueezeNet1_0", 4, backbone_weights="none"), [Group(0, 5, 50)]
        state = TrainingState.start({}, groups, network, TrainingSettings(), torch.device("cpu"), sharded=True)
        saver = Saver(state, 10, run_folder, RuntimeSettings(shard_classifier=True))
        saver.save_if_due()
        assert load_checkpoint(run_folder) is None
        if rank() == rank_of_clock:
            saver._saved_at = -math.inf
        saver.save_if_due()
        if is_rank_zero():
            checkpoint = load_checkpoint(run_folder)
            assert checkpoint is not None
            assert checkpoint["classifiers"][0]["classifier"]["weight"].shape == (5, 4)


@pytest.mark.parametrize("rank_of_clock", [0, 1])
def test_all_ranks_save_when_one_is_due(tmp_path: Path, rank_of_clock: int) -> None:
    for done in run_ranks(2, save_by_one_clock, tmp_path, rank_of_clock):
        assert done.returncode == 0, done.stderr
