"""Starting the processes of this machine that train together, by torchrun's own launcher."""

import os
import signal
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from data_manifest.errors import UserError
from training.distributed.percentages import hearing_percentages

SECONDS_TO_SAVE = 300  # until processes that were asked to stop are killed: large checkpoints take a while


def launch(num_processes: int, arguments: Sequence[str], on_percentage: Callable[[int], None] | None = None) -> None:
    """Run `python -m training` in so many processes, and wait for them.

    When one dies, the others are stopped; when this process dies, they notice, save and stop.

    Args:
        num_processes: How many.
        arguments: Of each of them.
        on_percentage: Told of the progress, in a thread of its own.

    Raises:
        UserError: One was killed, or has told its own mistake; or this process was asked to stop.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SECONDS_TO_SAVE))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_processes)))
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)}
    local: dict[str, Any] = {"run_id": uuid.uuid4().hex, "rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}
    config = LaunchConfig(1, 1, num_processes, max_restarts=0, **local)
    try:
        with hearing_percentages(on_percentage):
            elastic_launch(config, sys.executable)("-m", "training", *arguments)
    except ChildFailedError as error:
        process, failure = error.get_first_failure()
        if failure.exitcode < 0:
            how = f"was killed by {signal.Signals(-failure.exitcode).name}"
        else:
            how = f"ended with status {failure.exitcode}, and said why above"
        text = f"process {process} of {num_processes} {how}, so all were stopped: give the same command to go on"
        raise UserError(f"{text} from the last checkpoint") from None
    except SignalException as stop:
        text = f"stopped: {stop.sigval.name}; training was saved: give the same command again to go on from there"
        raise KeyboardInterrupt(text) from None
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
