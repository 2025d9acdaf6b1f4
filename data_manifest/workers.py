"""Worker processes: how they start, and that they end with who started them."""

import multiprocessing
import multiprocessing.connection
import os
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
    """Have a worker end when who started it is killed: torch watches its parent, the server, which lives as long."""
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
