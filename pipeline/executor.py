"""Where partitions run: threads of this process, for the work is done by libraries that let go of Python's lock."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from data_manifest.progress import Progress
from data_manifest.threads import usable_cores

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_all(work: Callable[[Job], Result], jobs: Iterable[Job], progress: Progress) -> Iterator[Result]:
    """Give the results of jobs that run side by side, in the order of the jobs; the first that fails ends all."""
    with ThreadPoolExecutor(usable_cores()) as executor:
        futures = [executor.submit(work, job) for job in jobs]
        try:
            for future in futures:
                yield future.result()
                progress.advance()
        finally:
            executor.shutdown(cancel_futures=True)
