"""Worker processes of data loaders: how they start and end, and the shared memory that carries their batches.

Nothing heavy is imported here, because worker processes import this module.
"""

import functools
import math
import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import multiprocessing.queues
import multiprocessing.resource_tracker
import multiprocessing.util
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TypeVar

from data_manifest.errors import UserError
from data_manifest.store.files import disk_usage, format_bytes

SHARED_MEMORY = Path("/dev/shm")  # as on Linux, where Docker's default is 64 MB; macOS has no such limit
PREFETCHED = 2  # batches that each worker prepares, by torch's default
WORKERS_LOST = ("DataLoader worker (", "Pin memory thread exited", "Too many open files")  # how torch reports it
CUT_OFF = (ConnectionError, EOFError)  # a worker died while a batch was being received from it
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # sent to all processes of a job
CAUGHT = "Caught "  # how torch reports an error raised in a worker
Batch = TypeVar("Batch")


def forkserver(*preload: str) -> ForkServerContext:
    """Return a multiprocessing context whose workers are forked from a server that has imported these modules.

    Forking this process could copy locks held by its threads; spawning would import the modules in each worker. The
    server and the workers block signals that are sent to all processes of a job: this process needs its workers until
    it has stopped.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    multiprocessing.resource_tracker.ensure_running()  # it unblocks signals if the fork server has to start it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
    try:
        multiprocessing.forkserver.ensure_running()  # inherits the blocked signals
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    _kill_workers_at_exit(os.getpid())
    return context


@functools.cache  # once per process
def _kill_workers_at_exit(process: int) -> None:
    """Kill remaining workers at exit: multiprocessing would send SIGTERM, which they block, and wait for them."""
    multiprocessing.util.Finalize(None, _kill_workers, exitpriority=0)


def _kill_workers() -> None:
    for worker in multiprocessing.active_children():
        if worker.daemon:
            worker.kill()


def end_with_parent(worker: int = 0) -> None:
    """Make a worker ignore signals, and exit when it cannot send a batch or when the process that started it dies.

    torch watches only the fork server. multiprocessing would only print why a batch cannot be sent, and the receiver
    would wait forever. Signals are blocked here too, because multiprocessing may have restarted the fork server.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(_exit_unsent)  # type: ignore[attr-defined]
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_unsent(error: BaseException, batch: object) -> None:
    print(f"worker {os.getpid()} cannot send a batch: {error}", file=sys.stderr, flush=True)
    os._exit(1)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def check_shared_memory(batch_bytes: int, batches: int, num_workers: int, batch_flag: str) -> None:
    """Check that shared memory can hold the batches that the workers of each process prepare, and one in use.

    `batch_flag` is the option that sets the number of images in a batch.

    Raises:
        UserError: They do not fit.
    """
    if num_workers == 0 or not SHARED_MEMORY.is_dir():
        return
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # set by torchrun
    needed = processes * min(batches, PREFETCHED * num_workers + 1) * batch_bytes
    total, free = disk_usage(SHARED_MEMORY)
    if total > 0 and free < needed:
        megabytes = math.ceil((total - free + needed) / 2**20)
        raise UserError(
            f"{SHARED_MEMORY} has {format_bytes(free)} free, but {num_workers} workers need {format_bytes(needed)} for "
            f"their batches of {format_bytes(batch_bytes)}. Raise it (Docker: --shm-size {megabytes}m), lower "
            f"--num-workers or {batch_flag}, or give --num-workers 0."
        )


def receive_batches(batches: Iterator[Batch], batch_flag: str) -> Iterator[Batch]:
    """Yield the batches of a data loader.

    Raises:
        UserError: A worker died, or batches cannot be received from it.
    """
    try:
        yield from batches
        return
    except (RuntimeError, ConnectionError, EOFError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        del batches  # with the iterator, the other workers end
        if reason.startswith(CAUGHT) or not (isinstance(error, CUT_OFF) or reason.startswith(WORKERS_LOST)):
            raise
    size = ""
    if SHARED_MEMORY.is_dir():
        size = f" ({SHARED_MEMORY}: {format_bytes(disk_usage(SHARED_MEMORY)[0])}; Docker: --shm-size)"
    raise UserError(
        f"A batch is lost: {reason.rstrip('.')}. Shared memory{size} or memory may be too small: raise it, lower "
        f"--num-workers or {batch_flag}, or give --num-workers 0."
    )
