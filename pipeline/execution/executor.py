"""Where partitions run: threads of this process, or another executor such as a Dask cluster's.

Threads do, because the work is done by libraries that let go of Python's lock.
"""

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from data_manifest.progress import Progress
from pipeline.execution.usable_cores import usable_cores

SUBMITTED_AT_ONCE = 1_000  # more than a cluster has cores for; all of a billion images would fill its scheduler
THREADS_WORK_AHEAD = 4  # jobs for each thread of our own: to have them at hand costs memory, and no time to send
Job = TypeVar("Job")
Result = TypeVar("Result")


def run_all(
    work: Callable[[Job], Result], jobs: Iterable[Job], progress: Progress | None, executor: Executor | None = None
) -> Iterator[Result]:
    """Give the results of jobs that run side by side, in the order of the jobs; the first that fails ends all.

    Args:
        work: What is to be done with a job.
        jobs: Taken as they are needed.
        progress: Told of each job that ends, in whatever order they do; None where who takes the results counts.
        executor: Runs the jobs; threads of this process by default.
    """
    jobs, ended = iter(jobs), SimpleQueue[Future[Result]]()
    waiting: deque[Future[Result]] = deque()  # for their turn, in the order of the jobs
    with _executor_or_threads(executor) as chosen:

        def submit(count: int) -> int:
            submitted = [chosen.submit(work, job) for job in itertools.islice(jobs, count)]
            waiting.extend(submitted)
            for future in submitted:
                future.add_done_callback(ended.put)
            return len(submitted)

        try:
            running = submit(SUBMITTED_AT_ONCE if executor else THREADS_WORK_AHEAD * usable_cores())
            while running:
                ended.get().result()
                if progress is not None:
                    progress.advance()
                running += submit(1) - 1
                while waiting and waiting[0].done():
                    yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _executor_or_threads(executor: Executor | None) -> contextlib.AbstractContextManager[Executor]:
    """Return an executor that ends with the block, or one that was given and does not."""
    return ThreadPoolExecutor(usable_cores()) if executor is None else contextlib.nullcontext(executor)
