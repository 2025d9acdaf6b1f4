"""Stopping on request: a run that is asked to stop finishes its iteration, saves, and says how to go on."""

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
    """A run was asked to stop: no mistake, but told like one, in a message without a traceback."""


class StopRequests:
    """Notices that the run is asked to stop: by Ctrl-C, by SIGTERM or SIGHUP, or because who started it is gone.

    An iteration changes many things that belong together, so a request waits until `check` is called between two. A
    second Ctrl-C is not waited with. Processes that train together stop at the same place, so they always wait.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._is_alone = world_size() == 1
        self._waits = True
        self._parent = os.getppid()

    def check(self) -> None:
        """Raise StoppedError if the run is to stop: in all processes that train together, if in one."""
        if self.reason is None and self._is_orphan():
            self.reason = "the process that started it is gone"
        self.reason = gather_first_reason(self.reason)
        if self.reason is not None:
            raise StoppedError(f"stopped: {self.reason}")

    def _is_orphan(self) -> bool:
        """Return whether a process that another one started for training has lost it."""
        parent = multiprocessing.parent_process()
        if self._is_alone:
            return parent is not None and not parent.is_alive()
        return os.getppid() != self._parent

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise StoppedError as soon as it is asked for: what happens in this context may end in the middle."""
        self.check()
        self._waits = not self._is_alone
        try:
            yield
        except Exception:
            if self._is_alone:
                self.check()  # processes that read images may have been asked to stop too, and are missed here
            raise
        finally:
            self._waits = True

    def note(self, number: int, frame: FrameType | None) -> None:
        """Take note of a signal: what the system calls when one arrives."""
        if number == signal.SIGINT and self.reason is not None and self._waits and self._is_alone:
            raise KeyboardInterrupt("stopped at once: training goes on from its last checkpoint")
        self.reason = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if not self._waits:
            self.check()


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequests]:
    """Give what notices requests to stop. Signals that are ignored stay so, as SIGHUP is for what nohup starts."""
    requests = StopRequests()
    if threading.current_thread() is not threading.main_thread():  # others are told of no signal
        yield requests
        return
    before = {each: signal.getsignal(each) for each in SIGNALS}
    for each, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(each, requests.note)
    try:
        yield requests
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
