"""Run jobs in processes that have a number each, and run a job again if its process was killed."""

import functools
import logging
import multiprocessing.connection
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar, cast

from data_manifest.errors import UserError
from data_manifest.images.loader_workers import end_with_parent, forkserver

Result = TypeVar("Result")
MAX_ATTEMPTS = 3
SECONDS_TO_END = 5.0
LOST = (EOFError, ConnectionError)  # the other end of the pipe is gone
logger = logging.getLogger(__name__)


class ProcessExecutor(Executor):
    """Processes numbered from 0; leaving its context stops them, whatever they are doing.

    Unlike the pool of `concurrent.futures`, it survives the death of a process, and may start processes of its own.

    Args:
        num_workers: Number of processes, started as they are needed.
        set_up: Called in each process with its number, before its first job.
        preload: Modules to import before the processes are forked.
    """

    def __init__(self, num_workers: int, set_up: Callable[[int], object], *preload: str) -> None:
        self.num_workers = num_workers
        self._set_up, self._preload = set_up, preload
        self._threads = ThreadPoolExecutor(num_workers)  # one waits for each process
        self._free = SimpleQueue[int]()
        for number in range(num_workers):
            self._free.put(number)
        self._workers: dict[int, _Worker] = {}
        self._lock, self._ended = threading.Lock(), False

    def submit(self, work: Callable[..., Result], /, *args: Any, **kwargs: Any) -> "Future[Result]":
        """Run a job in the next free process."""
        return self._threads.submit(self._run, functools.partial(work, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop the processes, and kill those that have not ended after some seconds."""
        with self._lock:
            self._ended = True
        processes = [worker.process for worker in self._workers.values()]
        for process in processes:
            process.terminate()
        give_up_at = time.monotonic() + SECONDS_TO_END
        for process in processes:
            process.join(max(0, give_up_at - time.monotonic()))
            process.kill()
        self._threads.shutdown(wait, cancel_futures=True)

    def _run(self, job: Callable[[], Result]) -> Result:
        number, how = self._free.get(), ""
        try:
            for attempt in range(1, MAX_ATTEMPTS + 1):
                try:
                    error, result = self._worker(number).run(job)
                except LOST:
                    how = self._bury(number)
                    logger.warning("process %d %s (attempt %d of %d)", number, how, attempt, MAX_ATTEMPTS)
                    continue
                if error is not None:
                    raise error
                return cast(Result, result)
            raise BrokenExecutor(f"{MAX_ATTEMPTS} processes died on the same job, the last one {how}")
        finally:
            self._free.put(number)

    def _worker(self, number: int) -> "_Worker":
        """Return the process of a number, started if needed."""
        with self._lock:
            if self._ended:
                raise CancelledError
            if number not in self._workers:
                self._workers[number] = _Worker(functools.partial(self._set_up, number), self._preload)
            return self._workers[number]

    def _bury(self, number: int) -> str:
        """Return how a process ended."""
        with self._lock:
            if self._ended:
                raise CancelledError
            process = self._workers.pop(number).process
        process.join()
        status = process.exitcode or 0
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"


class _Worker:
    """A process and the pipe to it."""

    def __init__(self, set_up: Callable[[], object], preload: tuple[str, ...]) -> None:
        context = forkserver(*preload)
        self._pipe, other_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(other_end, set_up))
        self.process.start()
        other_end.close()  # so that the pipe ends when the process dies

    def run(self, job: Callable[[], Any]) -> tuple[Exception | None, Any]:
        """Return the error and the result of a job."""
        self._pipe.send(job)
        answer: tuple[Exception | None, Any] = self._pipe.recv()
        return answer


def _serve(pipe: "multiprocessing.connection.Connection[Any, Any]", set_up: Callable[[], object] | None) -> None:
    end_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # ends the loader workers that a job has started
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    while True:
        job = pipe.recv()
        try:
            if set_up is not None:
                set_up()
                set_up = None
            pipe.send((None, job()))
        except Exception as error:
            if not isinstance(error, UserError):
                error.add_note(traceback.format_exc())  # pickling drops the traceback
            pipe.send((error, None))
