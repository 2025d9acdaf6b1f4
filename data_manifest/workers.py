"""Worker processes: how they start, and when they end."""

import multiprocessing
import multiprocessing.connection
import multiprocessing.queues
import os
import sys
import threading
from multiprocessing.context import ForkServerContext


def forkserver(*preload: str) -> ForkServerContext:
    """Return the way to start workers: copies of a small server process that has these modules loaded.

    A plain fork of this process may hang on the locks of its threads, and a fresh interpreter for each worker would
    load the modules each time.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


def end_with_parent(worker: int = 0) -> None:
    """Let a worker end when the process that started it is killed, or when the worker cannot send a batch.

    torch watches only the parent, which is the fork server. multiprocessing would print why a batch cannot be sent, as
    when shared memory is full, and drop it: the receiver would wait forever.
    """
    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(_end_unsent)  # type: ignore[attr-defined]
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _end_unsent(error: BaseException, batch: object) -> None:
    print(f"worker {os.getpid()} cannot send a batch: {error}", file=sys.stderr, flush=True)
    os._exit(1)


def _wait_for_end() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
