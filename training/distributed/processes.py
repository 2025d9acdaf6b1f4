"""Processes that train one network together, as torchrun starts them: each takes its share of every batch.

A single process is the case of one; nothing here does anything then.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from data_manifest.errors import UserError

Value = TypeVar("Value")


@contextlib.contextmanager
def joined_processes(device: str) -> Iterator[str]:
    """Join the other processes, where torchrun started this one; give the device of this process.

    Args:
        device: As a user gives it: auto, cpu or cuda; of several GPUs each process takes its own.

    Raises:
        UserError: There are fewer GPUs here than processes.
    """
    if "LOCAL_RANK" not in os.environ:
        yield device
        return
    on_gpus = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if on_gpus:
        number, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if number >= gpus:
            raise UserError(f"process {number} on this machine has no GPU of its own: torch sees {gpus}")
        torch.cuda.set_device(number)
        device = f"cuda:{number}"
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def number_of_processes() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def own_number() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Return whether this is the process that writes files and tells of the progress."""
    return own_number() == 0


def together(network: nn.Module, device: torch.device) -> nn.Module:
    """Return what calls a network so that its gradients come to be the mean over all processes."""
    if number_of_processes() == 1:
        return network
    return DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)


@contextlib.contextmanager
def sharing_gradient(parameter: nn.Parameter) -> Iterator[None]:
    """Have the gradient of a parameter be the mean over all processes: a classifier comes and goes with its group."""
    if number_of_processes() == 1:
        yield
        return

    def average(changed: Tensor) -> None:
        if changed.grad is not None:
            changed.grad = mean_of_all(changed.grad)

    hook = parameter.register_post_accumulate_grad_hook(average)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        hook.remove()


def share_buffers(network: nn.Module) -> None:
    """Give all processes what the first one's batch norms have seen: each has seen its own share of the images."""
    if number_of_processes() > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, src=0)


def mean_of_all(value: Tensor) -> Tensor:
    """Return a value, changed to its mean over all processes."""
    if number_of_processes() > 1:
        dist.all_reduce(value)
        value /= number_of_processes()
    return value


def first_reason(reason: str | None) -> str | None:
    """Return a reason that any process has, None where none has one; cheap enough for each iteration."""
    if number_of_processes() == 1:
        return reason
    has_one = torch.tensor(reason is not None, dtype=torch.int32)
    dist.all_reduce(has_one)
    if not has_one:
        return None
    reasons: list[str | None] = [None] * number_of_processes()
    dist.all_gather_object(reasons, reason)
    return next(each for each in reasons if each is not None)


def as_first_has_it(value: Value) -> Value:
    """Return the first process's value, so that all decide alike."""
    if number_of_processes() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def wait_for_all() -> None:
    """Go on when all processes have come here."""
    if number_of_processes() > 1:
        dist.barrier()
