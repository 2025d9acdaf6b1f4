"""Shared memory, through which the workers of a DataLoader hand over batches. Docker's default is 64 MB.

Nothing heavy is imported here: worker processes import this module.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from data_manifest.errors import UserError

FOLDER = Path("/dev/shm")  # as Linux has it; macOS has no such limit
PREFETCHED = 2  # batches that each worker prepares, by torch's default
WORKERS_LOST = ("DataLoader worker (", "Pin memory thread exited", "Too many open files")  # how torch reports it
CUT_OFF = (ConnectionError, EOFError)  # a worker died while a batch was being received from it
CAUGHT = "Caught "  # how torch reports an error raised in a worker
Batch = TypeVar("Batch")


def check_shared_memory(batch_bytes: int, batches: int, num_workers: int, batch_flag: str) -> None:
    """Check that shared memory can hold the batches that workers prepare, and one in use.

    Args:
        batch_bytes: Size of a batch.
        batches: Number of batches in all.
        num_workers: Worker processes of each process that trains or evaluates.
        batch_flag: The option that sets the number of images in a batch.

    Raises:
        UserError: They do not fit.
    """
    from data_manifest.store.files import disk_usage, format_bytes

    if num_workers == 0 or not FOLDER.is_dir():
        return
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # of torchrun on this machine
    needed = processes * min(batches, PREFETCHED * num_workers + 1) * batch_bytes
    total, free = disk_usage(FOLDER)
    if total > 0 and free < needed:
        megabytes = math.ceil((total - free + needed) / 2**20)
        raise UserError(
            f"{FOLDER} has {format_bytes(free)} free, but {num_workers} workers need {format_bytes(needed)} for their "
            f"batches of {format_bytes(batch_bytes)}. Raise it (Docker: --shm-size {megabytes}m), lower --num-workers "
            f"or {batch_flag}, or give --num-workers 0."
        )


def from_workers(batches: Iterator[Batch], batch_flag: str) -> Iterator[Batch]:
    """Yield the batches of a DataLoader.

    Raises:
        UserError: A worker died, or batches cannot be received from it.
    """
    try:
        yield from batches
        return
    except (RuntimeError, ConnectionError, EOFError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        if reason.startswith(CAUGHT) or not (isinstance(error, CUT_OFF) or reason.startswith(WORKERS_LOST)):
            raise
    del batches  # with the iterator, the other workers end
    raise UserError(
        f"A batch is lost: {reason.rstrip('.')}. Shared memory{_size()} or memory may be too small: raise it, lower "
        f"--num-workers or {batch_flag}, or give --num-workers 0."
    )


def _size() -> str:
    from data_manifest.store.files import disk_usage, format_bytes

    return f" ({FOLDER}: {format_bytes(disk_usage(FOLDER)[0])}; Docker: --shm-size)" if FOLDER.is_dir() else ""
