"""Data-parallel training with torch.distributed; with a single process, every function here does nothing."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from data_manifest.errors import UserError

Value = TypeVar("Value")


@contextlib.contextmanager
def process_group(device: str) -> Iterator[str]:
    """Join the process group if torchrun started this process; yield the device of this rank.

    Args:
        device: auto, cpu or cuda; with several GPUs, each local rank takes its own.

    Raises:
        UserError: This machine has fewer GPUs than processes.
    """
    if "LOCAL_RANK" not in os.environ:
        yield device
        return
    on_gpus = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if on_gpus:
        local_rank, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local_rank >= gpus:
            raise UserError(
                f"No GPU for process {local_rank} of this machine: torch sees {gpus}. Lower --num-processes (torchrun: "
                "--nproc-per-node), or give --device cpu."
            )
        torch.cuda.set_device(local_rank)
        device = f"cuda:{local_rank}"
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def world_size() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return the rank of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_rank_zero() -> bool:
    """Return whether this process writes files and reports progress."""
    return rank() == 0


def data_parallel(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network wrapped so that its gradients are averaged over all ranks."""
    if world_size() == 1:
        return network
    return DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)


def broadcast_buffers(network: nn.Module) -> None:
    """Copy rank 0's buffers to all ranks: batch norm statistics differ, as each rank sees its share of the images."""
    if world_size() > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, src=0)


def all_reduce_mean(value: Tensor) -> Tensor:
    """Replace a tensor, in place, by its mean over all ranks, and return it."""
    if world_size() > 1:
        dist.all_reduce(value)
        value /= world_size()
    return value


def any_rank(condition: bool) -> bool:
    """Return whether a condition holds on any rank; cheap enough for each iteration."""
    if world_size() == 1:
        return condition
    count = torch.tensor(condition, dtype=torch.int32)
    dist.all_reduce(count)
    return bool(count)


def gather_first_reason(reason: str | None) -> str | None:
    """Return the reason of the lowest rank that has one, or None; cheap enough for each iteration."""
    if world_size() == 1:
        return reason
    if not any_rank(reason is not None):
        return None
    reasons: list[str | None] = [None] * world_size()
    dist.all_gather_object(reasons, reason)
    return next(each for each in reasons if each is not None)


def broadcast_from_rank0(value: Value) -> Value:
    """Return rank 0's value on all ranks."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


@contextlib.contextmanager
def raising_on_all() -> Iterator[None]:
    """Wait for all ranks at the end of this context; a UserError in it on any rank is raised on all.

    Ranks without an error raise that of the lowest rank.
    """
    error = None
    try:
        yield
    except UserError as caught:
        error = caught
    reason = gather_first_reason(None if error is None else str(error))
    if reason is not None:
        raise error or UserError(reason)


def on_rank0(work: Callable[[], Value]) -> Value:
    """Return on all ranks what work returns on rank 0.

    Raises:
        UserError: The work raises it.
    """
    values = list[Value]()
    with raising_on_all():
        if is_rank_zero():
            values = [work()]
    return broadcast_from_rank0(values)[0]


def barrier() -> None:
    """Wait until all ranks have arrived here."""
    if world_size() > 1:
        dist.barrier()
