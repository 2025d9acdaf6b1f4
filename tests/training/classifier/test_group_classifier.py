"""Weights and optimizer state of classifiers: where they are, how many bytes they take, what checkpoints get."""

import torch
from torch import Tensor

from tests.training.conftest import leaves, run_ranks
from training.classifier.group_classifier import GroupClassifier, ShardedGroupClassifier
from training.data.groups import Group
from training.distributed.processes import process_group, rank, world_size
from training.loop.checks import bytes_of_run
from training.loop.state import TrainingState
from training.network.settings import NetworkSettings
from training.settings import TrainingSettings

DIM, CLASSES = 6, 12


def _bytes_in_memory(classifier: GroupClassifier) -> int:
    """Return the bytes behind the weights and Adam's moments, also those that a view would keep."""
    weight = classifier.classifier.weight
    moments = [value for value in classifier.optimizer.state[weight].values() if value.ndim]
    return sum(each.untyped_storage().nbytes() for each in (weight, *moments))


def _train(classifier: GroupClassifier, steps: int) -> None:
    """Take steps on the same global batch, of which each rank of a sharded classifier gives its share."""
    generator = torch.Generator().manual_seed(5)
    for _ in range(steps):
        descriptors = torch.randn(6, DIM, generator=generator)
        classes = torch.randint(classifier.classifier.num_classes, (6,), generator=generator)
        if isinstance(classifier, ShardedGroupClassifier):
            size = 6 // world_size()
            descriptors, classes = (each[rank() * size :][:size] for each in (descriptors, classes))
        classifier.optimizer.zero_grad()
        torch.autograd.backward(classifier.classifier.loss(descriptors, classes))
        classifier.optimizer.step()


def _assert_same_state(found: dict[str, object], expected: dict[str, object], exactly: bool) -> None:
    assert [name for name, _ in leaves(found)] == [name for name, _ in leaves(expected)]
    for (name, value), (_, other) in zip(leaves(found), leaves(expected), strict=True):
        if isinstance(value, Tensor):
            assert torch.equal(value, other) if exactly else torch.allclose(value, other, rtol=1e-5, atol=1e-7), name
        else:
            assert value == other, name


def save_and_load(num_classes: int) -> None:
    torch.set_num_threads(1)
    with process_group("cpu"):
        whole = GroupClassifier(DIM, num_classes, lr=0.01, seed=3)
        sharded = ShardedGroupClassifier(DIM, num_classes, lr=0.01, seed=3)
        states = [sharded.state_dict()]
        if rank() == 0:
            _assert_same_state(states[-1], whole.state_dict(), exactly=True)
        for each in (whole, sharded):
            _train(each, steps=4)
        gathered = sharded.state_dict()
        if rank() == 0:
            _assert_same_state(gathered, whole.state_dict(), exactly=False)
            GroupClassifier(DIM, num_classes, lr=0.01, seed=4).load_state_dict(gathered)
        resumed = ShardedGroupClassifier(DIM, num_classes, lr=0.01, seed=4)
        resumed.load_state_dict(whole.state_dict())
        resumed.to(torch.device("cpu"))
        again = resumed.state_dict()
        if rank() == 0:
            _assert_same_state(again, whole.state_dict(), exactly=True)
        bytes_of_class = _bytes_in_memory(whole) // num_classes
        assert bytes_of_class == 3 * 4 * DIM, "a weight and two moments per dimension"
        for each in (sharded, resumed):
            assert _bytes_in_memory(each) == len(each.classifier.classes) * bytes_of_class, f"rank {rank()}"


def test_sharded_state_is_that_of_a_whole_classifier() -> None:
    for ranks, num_classes in ((2, CLASSES), (3, CLASSES - 1)):
        for done in run_ranks(ranks, save_and_load, num_classes):
            assert done.returncode == 0, done.stderr


def check_shares_and_disk_space() -> None:
    with process_group("cpu"):
        network = NetworkSettings("SqueezeNet1_0", DIM, backbone_weights="none")
        groups, cpu = [Group(0, CLASSES, 50), Group(1, CLASSES + 1, 50)], torch.device("cpu")
        whole, sharded = (
            TrainingState.start({}, groups, network, TrainingSettings(), cpu, sharded=each) for each in (False, True)
        )
        assert [len(each.classifier.weight) for each in sharded.classifiers] == [6, 6 + rank()]
        assert bytes_of_run(sharded) == bytes_of_run(whole), "rank 0 writes all rows"


def test_each_rank_keeps_its_share_and_rank_0_needs_disk_space_for_all() -> None:
    for done in run_ranks(2, check_shares_and_disk_space):
        assert done.returncode == 0, done.stderr
