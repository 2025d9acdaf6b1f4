"""Threads and GPU of each of several processes of this machine that embed images."""

import functools
import os
from collections.abc import Callable

import torch

from data_manifest.errors import UserError
from training.network.device import resolve_device

# To import before processes are forked: most of what a job imports, but not polars, which has threads.
PRELOAD = ("torchvision", "torch.fx.experimental.optimization")


def check_processes(device: str, num_processes: int) -> None:
    """Check that each process can have a GPU of its own, if they run on GPUs.

    Raises:
        UserError: There are fewer GPUs than processes, or the device names one of them.
    """
    if resolve_device(device).type != "cuda":
        return
    if device not in ("auto", "cuda"):
        raise UserError(
            f"device = {device}: with {num_processes} processes, each takes a GPU of its own. Give --device cuda."
        )
    if num_processes > (gpus := torch.cuda.device_count()):
        raise UserError(
            f"num_processes = {num_processes}: torch sees {gpus} GPUs. Lower --num-processes, or give --device cpu."
        )


def process_setup(device: str, num_processes: int) -> Callable[[int], None]:
    """Return a function to call in each process with its number, which sets its share of this process' CPU threads."""
    return functools.partial(_set_up, device, num_processes, max(1, torch.get_num_threads() // num_processes))


def _set_up(device: str, num_processes: int, num_threads: int, number: int) -> None:
    os.environ["LOCAL_WORLD_SIZE"] = str(num_processes)  # the loader workers of all share the shared memory
    torch.set_num_threads(num_threads)
    if resolve_device(device).type == "cuda":
        torch.cuda.set_device(number)
