"""Start the training processes of this machine with torchrun's launcher, and receive their progress."""

import contextlib
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from data_manifest.errors import UserError

MAX_SECONDS_TO_SAVE = 300  # until processes that were asked to stop are killed: large checkpoints take a while
LOCALHOST, PORT_VARIABLE = "127.0.0.1", "COSPLACE_PERCENTAGE_PORT"
MAX_MESSAGE_BYTES = 16


def launch(num_processes: int, arguments: Sequence[str], on_percentage: Callable[[int], None] | None = None) -> None:
    """Run `python -m training` in `num_processes` processes, and wait for them.

    If one dies, the others are stopped. If this process dies, they save a checkpoint and stop.

    Args:
        num_processes: Number of processes.
        arguments: Command-line arguments of each process.
        on_percentage: Called with the percentage done, in another thread.

    Raises:
        UserError: A process was killed, or ended with an error that it has printed.
        KeyboardInterrupt: This process was asked to stop.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(MAX_SECONDS_TO_SAVE))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_processes)))
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)}
    local: dict[str, Any] = {"run_id": uuid.uuid4().hex, "rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}
    config = LaunchConfig(1, 1, num_processes, max_restarts=0, **local)
    try:
        with receiving_percentages(on_percentage):
            elastic_launch(config, sys.executable)("-m", "training", *arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            how = f"was killed by {signal.Signals(-failure.exitcode).name}"
        else:
            how = f"failed with exit status {failure.exitcode} (its error is shown above)"
        raise UserError(
            f"Rank {rank} of {num_processes} {how}, so all were stopped. Run the same command again to resume from the "
            "last checkpoint."
        ) from None
    except SignalException as stop:
        text = f"stopped: {stop.sigval.name}; a checkpoint was saved. Run the same command again to resume."
        raise KeyboardInterrupt(text) from None
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def receiving_percentages(on_percentage: Callable[[int], None] | None) -> Iterator[None]:
    """Call a function with the percentages that processes started in this context send.

    torchrun gives its processes no pipe, so the numbers are datagrams to a local port; a lost one blocks nobody.
    """
    if on_percentage is None:
        yield
        return

    def receive() -> None:
        while message := receiver.recv(MAX_MESSAGE_BYTES):
            with contextlib.suppress(ValueError):  # from another program
                on_percentage(int(message))

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((LOCALHOST, 0))
        thread = threading.Thread(target=receive, daemon=True)
        thread.start()
        os.environ[PORT_VARIABLE] = str(receiver.getsockname()[1])
        try:
            yield
        finally:
            del os.environ[PORT_VARIABLE]
            receiver.sendto(b"", receiver.getsockname())  # ends `receive`, after all earlier messages
            thread.join()


def send_percentage(percentage: int) -> None:
    """Send the percentage done to the process that launched this one; do nothing if it does not listen."""
    if port := os.environ.get(PORT_VARIABLE):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(str(percentage).encode(), (LOCALHOST, int(port)))
