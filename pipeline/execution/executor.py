"""Run jobs in parallel: in threads of this process, or on another executor such as a Dask cluster's."""

import contextlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from data_manifest.progress import Progress

MAX_SUBMITTED = 1_000  # more than a cluster has cores; all partitions of a billion images would fill its scheduler
MAX_SUBMITTED_PER_THREAD = 4  # local jobs cost memory and no time to send
Job = TypeVar("Job")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Return the number of cores that this process may use; in a container it can be less than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def run_all(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    progress: Progress | None,
    executor: Executor | None = None,
    on_end: Callable[[], object] | None = None,
) -> Iterator[Result]:
    """Yield the results of jobs in the order of the jobs, and stop at the first error.

    Args:
        work: Called with each job. Threads suffice locally: the libraries that do the work release Python's lock.
        jobs: Consumed lazily.
        progress: Advanced as each job ends, in any order; None if the caller counts results.
        executor: Runs the jobs; threads of this process by default.
        on_end: Called at the end, also after an error or Ctrl-C, before the wait for running jobs.
    """
    jobs, ended = iter(jobs), SimpleQueue[Future[Result]]()
    pending: deque[Future[Result]] = deque()  # in the order of the jobs
    threads = ThreadPoolExecutor(usable_cores()) if executor is None else contextlib.nullcontext(executor)
    with threads as chosen:

        def submit(count: int) -> int:
            submitted = [chosen.submit(work, job) for job in itertools.islice(jobs, count)]
            pending.extend(submitted)
            for future in submitted:
                future.add_done_callback(ended.put)
            return len(submitted)

        try:
            running = submit(MAX_SUBMITTED if executor else MAX_SUBMITTED_PER_THREAD * usable_cores())
            while running:
                ended.get().result()
                if progress is not None:
                    progress.advance()
                running += submit(1) - 1
                while pending and pending[0].done():
                    yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
            if on_end is not None:
                on_end()


def run_with_progress(
    work: Callable[[Job], Result], jobs: Iterable[Job], progress: Progress, executor: Executor | None = None
) -> list[Result]:
    """Return the results that `run_all` yields, and show the progress until they are complete."""
    with progress:
        return list(run_all(work, jobs, progress, executor))
