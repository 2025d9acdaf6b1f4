"""Start the training processes of this machine with torchrun's launcher, and receive their progress."""

import contextlib
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.progress import Heartbeat

MAX_SECONDS_TO_SAVE = 300  # until processes that were asked to stop are killed: large checkpoints take a while
FILE_VARIABLE = "COSPLACE_PERCENTAGE_FILE"


def launch(num_processes: int, arguments: Sequence[str], on_percentage: Callable[[int], None] | None = None) -> None:
    """Run `python -m training` in `num_processes` processes, and wait for them.

    If one dies, the others are stopped. If this process dies, they save a checkpoint and stop. Every 10 seconds and at
    the end, `on_percentage` is called, in another thread.

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
        with receiving_percentages(on_percentage) if on_percentage else contextlib.nullcontext():
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
def receiving_percentages(on_percentage: Callable[[int], None]) -> Iterator[None]:
    """Call a function now and then with the percentage that the processes started in this context have sent.

    torchrun gives its processes no pipe, so they write it to a file.
    """

    def report() -> None:
        with contextlib.suppress(FileNotFoundError, ValueError):  # not written yet
            on_percentage(int(file.read_text()))

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "percentage")
        os.environ[FILE_VARIABLE] = str(file)
        try:
            with Heartbeat(report):
                yield
        finally:
            del os.environ[FILE_VARIABLE]
            report()


def send_percentage(percentage: int) -> None:
    """Send the percentage done to the process that launched this one, if it asked for it."""
    if file := os.environ.get(FILE_VARIABLE):
        with contextlib.suppress(OSError):  # the launcher is gone
            Path(file).write_text(str(percentage))
