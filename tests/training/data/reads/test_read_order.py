"""The order of reads is the one that a training reads in, recorded while it reads."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.conftest import WriteGroups, run_ranks
from training.data import dataset
from training.data.groups import read_members
from training.data.image_files import decode_image
from training.data.reads.read_order import NEVER, ReadOrder, find_next_uses
from training.data.sampling import EpochPlan
from training.data.settings import AugmentationSettings
from training.distributed.processes import process_group, rank
from training.loop.step import TrainStep
from training.loop.stopping import StoppedError
from training.loop.trainer import train
from training.network.settings import NetworkSettings
from training.settings import RuntimeSettings, TrainingSettings

SIZES = {0: 7, 3: 5, 4: 6}
TRAINING = TrainingSettings(
    groups_num=3, batch_size=4, epochs_num=5, iterations_per_epoch=3, lr=1e-3, classifiers_lr=1e-2, seed=3
)


def _order(folder: Path, training: TrainingSettings = TRAINING) -> list[list[str]]:
    """Return the paths of each epoch in their order."""
    order = ReadOrder(folder / "groups", training, range(training.epochs_num))
    epochs = []
    for reads in order:
        members = read_members(folder / "groups", reads.group.index, folder / "scratch")
        classes, numbers = np.divmod(reads.rows, 3)
        epochs.append([members.path(int(each), int(number)) for each, number in zip(classes, numbers, strict=True)])
    return epochs


def _train(folder: Path, training: TrainingSettings = TRAINING) -> None:
    train(
        folder / "groups",
        folder / "images",
        folder / "run",
        network=NetworkSettings(backbone="SqueezeNet1_0", fc_output_dim=8, backbone_weights="none"),
        augmentation=AugmentationSettings(image_size=32),
        training=training,
        runtime=RuntimeSettings(device="cpu", num_workers=0),
        validate=lambda network: {1: 50.0},
    )


def _recording(folder: Path) -> tuple[list[str], Callable[[bytes, Path], torch.Tensor]]:
    """Return the list of paths, relative to the images, that a decoder of images appends to, and the decoder."""
    read = list[str]()

    def recorded(content: bytes, path: Path) -> torch.Tensor:
        read.append(path.relative_to(folder / "images").as_posix())
        return decode_image(content, path)

    return read, recorded


@pytest.mark.parametrize("groups", [None, "4,0"])
def test_training_reads_in_this_order(
    write_groups: WriteGroups, monkeypatch: pytest.MonkeyPatch, groups: str | None
) -> None:
    folder = write_groups(SIZES)
    values = TRAINING.as_dict() | ({"groups": groups, "groups_num": 2} if groups else {})
    training = TrainingSettings(**values)
    read, recorded = _recording(folder)
    monkeypatch.setattr(dataset, "decode_image", recorded)
    _train(folder, training)
    assert len(read) == 5 * 12
    assert read == list(itertools.chain(*_order(folder, training)))


def test_resumed_training_reads_the_rest_of_this_order(
    write_groups: WriteGroups, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_groups(SIZES)
    read, recorded = _recording(folder)
    monkeypatch.setattr(dataset, "decode_image", recorded)
    step, steps = TrainStep.__call__, itertools.count()

    def stopping_step(self: TrainStep, *batch: torch.Tensor) -> torch.Tensor:
        if next(steps) in (1, 6):
            raise StoppedError
        return step(self, *batch)

    monkeypatch.setattr(TrainStep, "__call__", stopping_step)
    runs = list[list[str]]()
    for _ in range(2):
        with pytest.raises(StoppedError):
            _train(folder)
        runs.append(read.copy())
        read.clear()
    _train(folder)
    expected = list(itertools.chain(*_order(folder)))
    # A batch is read again if its step did not end: the second, and the sixth.
    assert [*runs, read] == [expected[: 2 * 4], expected[1 * 4 : 6 * 4], expected[5 * 4 :]]


def record_of_rank(folder: Path) -> None:
    """Train as a rank, and write what it has read."""
    torch.set_num_threads(1)
    read, recorded = _recording(folder)
    setattr(dataset, "decode_image", recorded)  # noqa: B010 -- mypy does not take it for exported
    with process_group("cpu"):
        _train(folder)
        (folder / f"read-{rank()}.json").write_text(json.dumps(read))


@pytest.mark.slow
def test_each_rank_reads_its_share_of_each_batch(write_groups: WriteGroups) -> None:
    folder = write_groups(SIZES)
    for done in run_ranks(2, record_of_rank, folder):
        assert done.returncode == 0, done.stderr
    expected = np.array(list(itertools.chain(*_order(folder)))).reshape(-1, 2, 2)  # batch, rank, sample
    for each in range(2):
        assert json.loads((folder / f"read-{each}.json").read_text()) == expected[:, each].ravel().tolist()


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(st.integers(0, 9), min_size=8, max_size=8), min_size=1, max_size=5))
def test_next_uses_are_those_found_by_searching(epochs: list[list[int]]) -> None:
    reads = list(itertools.chain(*epochs))
    expected = [
        next((later for later in range(number + 1, len(reads)) if reads[later] == image), NEVER)
        for number, image in enumerate(reads)
    ]
    following, found = np.full(10, NEVER), list[Any]()
    for turn in reversed(range(len(epochs))):
        found[:0] = find_next_uses(np.array(epochs[turn]), 8 * turn, following).tolist()
    assert found == expected
    assert following.tolist() == [reads.index(image) if image in reads else NEVER for image in range(10)]


def test_new_reads_and_next_uses_of_an_order(write_groups: WriteGroups) -> None:
    order = ReadOrder(write_groups(SIZES) / "groups", TRAINING, range(2, 9))
    keys, counts = list[tuple[int, int]](), dict[int, int]()
    for reads in order:
        mine = [(reads.group.index, int(row)) for row in reads.rows]
        for key, is_new in zip(mine, reads.is_new, strict=True):
            assert is_new == (key not in keys)
            keys.append(key)
        counts[reads.group.index] = reads.num_read
    assert counts == {group: len({key for key in keys if key[0] == group}) for group in SIZES}
    expected = [keys.index(key, number + 1) if key in keys[number + 1 :] else NEVER for number, key in enumerate(keys)]
    assert order.next_uses().ravel().tolist() == expected


def test_plans_are_those_of_the_training(write_groups: WriteGroups) -> None:
    order = ReadOrder(write_groups(SIZES) / "groups", TRAINING, range(5))
    assert [order.group(epoch).index for epoch in range(5)] == [0, 3, 4, 0, 3]
    assert order.plan(4) == EpochPlan(num_classes=5, batch_size=4, iterations=3, seed=3, epoch=4)
