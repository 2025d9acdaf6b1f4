"""Stop a run on request: it finishes its iteration, saves a checkpoint, and says how to resume."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from data_manifest.errors import UserError
from training.distributed.processes import gather_first_reason, world_size

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(UserError):
    """The run was asked to stop; a UserError, so that its message is shown without a traceback."""


class StopRequests:
    """Requests to stop: Ctrl-C, SIGTERM, SIGHUP, or the death of the parent process.

    A request takes effect when `check` is called between two iterations, or at once within `at_once` and at a second
    Ctrl-C. With several ranks it always waits for `check`, so that all stop at the same iteration.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._is_single = world_size() == 1
        self._waits = True
        self._parent = os.getppid()

    def is_requested(self) -> bool:
        """Return whether this rank was asked to stop."""
        return self.reason is not None or self._is_orphan()

    def check(self) -> None:
        """Raise StoppedError on all ranks if any rank was asked to stop."""
        if self.reason is None and self._is_orphan():
            self.reason = "the parent process ended"
        self.reason = gather_first_reason(self.reason)
        if self.reason is not None:
            raise StoppedError(f"stopped: {self.reason}")

    def _is_orphan(self) -> bool:
        parent = multiprocessing.parent_process()
        if self._is_single:
            return parent is not None and not parent.is_alive()
        return os.getppid() != self._parent

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a request interrupt this context, unless there are several ranks."""
        self.check()
        self._waits = not self._is_single
        try:
            yield
        except Exception:
            if self._is_single:
                self.check()  # the signal may have ended the loader workers too, which raised this error
            raise
        finally:
            self._waits = True

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if number == signal.SIGINT and self.reason is not None and self._waits and self._is_single:
            raise KeyboardInterrupt("stopped immediately; the same command resumes from the last checkpoint")
        self.reason = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if not self._waits:
            self.check()


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequests]:
    """Handle requests to stop within this context; ignored signals, such as SIGHUP under nohup, stay ignored."""
    requests = StopRequests()
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield requests
        return
    before = {each: signal.getsignal(each) for each in SIGNALS}
    for each, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(each, requests.handle)
    try:
        yield requests
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
