"""Two and three processes with a share of the classes each equal one with all of them."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.training.conftest import run_ranks
from training.classifier.cosface import CosFace
from training.classifier.sharded_cosface import ShardedCosFace, classes_of
from training.distributed.processes import process_group, rank, world_size

SHAPES = ((2, 5, 3), (4, 40, 16), (1, 17, 64), (8, 301, 128))  # images per rank, classes, dimensions
SCALE_OF_LOSS = 8.0


def _assert_near(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """Compare to a tolerance relative to the largest value."""
    apart = (found - expected).abs().max() / expected.abs().max()
    assert apart <= tolerance, f"{apart:.1e} apart, rank {rank()}, {list(expected.shape)}"


def _classes_of_all_ranks(batch: int, num_classes: int, generator: torch.Generator) -> torch.Tensor:
    """Return correct classes [world_size * batch]: the first and the last of each rank as far as they fit."""
    shares = [classes_of(each, world_size(), num_classes) for each in range(world_size())]
    ends = [*(share[0] for share in shares), *(share[-1] for share in shares)]
    drawn = torch.randint(num_classes, (world_size() * batch,), generator=generator)
    chosen = torch.tensor(ends)[: len(drawn)]
    drawn[: len(chosen)] = chosen
    return drawn[torch.randperm(len(drawn), generator=generator)]


def compare_with_whole(dtype: torch.dtype, tolerance: float) -> None:
    torch.set_num_threads(1)
    with process_group("cpu"):
        for seed, (batch, num_classes, dim) in enumerate(SHAPES):
            generator = torch.Generator().manual_seed(seed)
            classes = _classes_of_all_ranks(batch, num_classes, generator)
            descriptors = torch.randn(len(classes), dim, generator=generator, dtype=dtype, requires_grad=True)
            whole = CosFace(dim, num_classes, torch.Generator().manual_seed(seed)).to(dtype)
            expected = cross_entropy(whole(descriptors, classes), classes)
            torch.autograd.backward(expected * SCALE_OF_LOSS)

            images = slice(rank() * batch, (rank() + 1) * batch)
            mine = descriptors.detach()[images].clone().requires_grad_()
            sharded = ShardedCosFace(dim, num_classes, torch.Generator().manual_seed(seed)).to(dtype)
            own = slice(sharded.classes.start, sharded.classes.stop)
            assert torch.equal(sharded.weight, whole.weight[own]), "same initial values"
            loss = sharded.loss(mine, classes[images])
            torch.autograd.backward(loss * SCALE_OF_LOSS)
            sharded.reduce_gradient(is_scaled=True)

            assert whole.weight.grad is not None
            assert sharded.weight.grad is not None
            assert descriptors.grad is not None
            assert mine.grad is not None
            _assert_near(loss.detach(), expected.detach(), tolerance)
            _assert_near(sharded.weight.grad, whole.weight.grad[own], tolerance)
            # DistributedDataParallel divides by the number of ranks.
            _assert_near(mine.grad / world_size(), descriptors.grad[images], tolerance)


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
def test_loss_and_gradients_equal_those_of_a_whole_classifier(
    world_size: int, dtype: torch.dtype, tolerance: float
) -> None:
    for done in run_ranks(world_size, compare_with_whole, dtype, tolerance):
        assert done.returncode == 0, done.stderr


def overflow_on_one_rank() -> None:
    with process_group("cpu"):
        classifier = ShardedCosFace(4, 5, torch.Generator().manual_seed(0))
        optimizer = torch.optim.Adam(classifier.parameters(), fused=True)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        scaler.scale(torch.zeros(()))  # creates the scale
        for overflowed in (True, False):
            before = classifier.weight.detach().clone()
            classifier.weight.grad = torch.ones_like(classifier.weight)
            if overflowed and rank() == 1:
                classifier.weight.grad[1, 2] = torch.inf
            classifier.reduce_gradient(is_scaled=True)
            scaler.step(optimizer)
            scaler.update()
            assert torch.equal(classifier.weight, before) == overflowed, f"rank {rank()}, overflow: {overflowed}"
            assert scaler.get_scale() == 4.0, f"rank {rank()}"


def test_all_ranks_skip_a_step_if_one_overflows() -> None:
    for done in run_ranks(2, overflow_on_one_rank):
        assert done.returncode == 0, done.stderr


def test_classes_are_split_evenly_and_in_order() -> None:
    for ranks, num_classes in ((1, 4), (2, 7), (3, 8), (4, 4), (8, 35_001)):
        shares = [classes_of(each, ranks, num_classes) for each in range(ranks)]
        assert [number for share in shares for number in share] == list(range(num_classes))
        assert {len(share) for share in shares} <= {num_classes // ranks, -(-num_classes // ranks)}
