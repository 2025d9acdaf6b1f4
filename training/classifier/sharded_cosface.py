"""CosFace with its classes split over the ranks: each rank holds the weights and logits of its own classes only."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.classifier.cosface import CosFace
from training.distributed.processes import rank, world_size


def classes_of(rank: int, world_size: int, num_classes: int) -> range:
    """Return the classes of a rank: consecutive ones, and at most one more than any other rank has."""
    return range(rank * num_classes // world_size, (rank + 1) * num_classes // world_size)


class ShardedCosFace(CosFace):
    """The rows of a CosFace that belong to this rank's classes, with the same initial values.

    `num_classes` is at least the number of ranks: a batch has an image per rank or more, each of another class.
    """

    def __init__(self, fc_output_dim: int, num_classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__(fc_output_dim, num_classes, generator)
        self.classes = classes_of(rank(), world_size(), num_classes)
        own = slice(self.classes.start, self.classes.stop)
        self.weight = nn.Parameter(self.weight.detach()[own].clone())  # frees the other rows

    def loss(self, descriptors: Tensor, class_indices: Tensor) -> Tensor:
        """Return the mean cross-entropy of all ranks' descriptors: each gives [b, fc_output_dim] and classes [b].

        The weights get the gradient of this mean. The descriptors get world_size times theirs, which
        DistributedDataParallel divides again.
        """
        descriptors = _Gather.apply(descriptors)
        class_indices = _all_gather(class_indices)
        loss: Tensor = _CrossEntropy.apply(self(descriptors, class_indices), class_indices - self.classes.start)
        return loss

    def reduce_gradient(self, is_scaled: bool) -> None:
        """Make a scaled gradient infinite on all ranks if it is not finite on one, so that all skip the same steps."""
        if is_scaled and self.weight.grad is not None:
            overflow = self.weight.grad.isfinite().all().logical_not().float()
            dist.all_reduce(overflow, dist.ReduceOp.MAX)
            self.weight.grad.masked_fill_(overflow.bool(), torch.inf)


def gather_rows(rows: Tensor, num_classes: int) -> Tensor:
    """Return the rows of all ranks [num_classes, d] on rank 0, and on other ranks only their own; on the CPU."""
    rows = rows.cpu()
    if rank() != 0:
        dist.send(rows, dst=0)
        return rows
    whole = rows.new_empty(num_classes, *rows.shape[1:])
    whole[: len(rows)] = rows
    for source in range(1, world_size()):
        classes = classes_of(source, world_size(), num_classes)
        dist.recv(whole[classes.start : classes.stop], src=source)
    return whole


def _all_gather(values: Tensor) -> Tensor:
    """Return the values of all ranks, of equal shape, in the order of the ranks."""
    parts = [torch.empty_like(values) for _ in range(world_size())]
    dist.all_gather(parts, values)
    return torch.cat(parts)


class _Gather(torch.autograd.Function):
    """`_all_gather`, with the gradient of the mean over the ranks of what each computes from the result."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _all_gather(values.contiguous())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()] * world_size()


class _CrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of logits [b, own classes] and correct classes [b], counted from the first own class.

    A rank computes softmax and gradient of its own columns. Maximum, sum and correct logit are all-reduced.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, class_indices: Tensor) -> Tensor:
        largest = logits.amax(dim=1)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        logits = logits - largest[:, None]
        is_own = (class_indices >= 0) & (class_indices < logits.shape[1])
        columns = class_indices.clamp(0, logits.shape[1] - 1)[:, None]
        correct = torch.where(is_own, logits.gather(1, columns)[:, 0], 0)  # one rank has it, others add 0
        softmax = logits.exp_()
        sums = torch.stack([softmax.sum(dim=1), correct])
        dist.all_reduce(sums)
        ctx.save_for_backward(softmax.div_(sums[0][:, None]), is_own, columns)
        return (sums[0].log() - sums[1]).mean()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        softmax, is_own, columns = ctx.saved_tensors
        of_logits = softmax.scatter_add(1, columns, -is_own.to(softmax.dtype)[:, None])
        return of_logits.mul_(gradient / len(softmax)), None
