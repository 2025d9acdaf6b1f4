"""Divide the missing chunks among processes of this machine or of a cluster, and wait for them."""

import contextlib
import functools
import itertools
import math
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from pathlib import Path
from typing import Any, Protocol

from data_manifest.errors import UserError
from data_manifest.progress import Progress
from evaluation.descriptors.chunks.embed_job import EmbedJob, run_job
from evaluation.descriptors.chunks.running_jobs import read_counts, running_jobs

MAX_CHUNKS_PER_JOB = 16  # starting the loader workers of a job takes up to a second
JOBS_PER_PROCESS = 4  # at least, so that no process waits long for the last one
SECONDS_BETWEEN_COUNTS = 0.5


class Processes(Protocol):
    """An executor whose workers are processes, each with a device."""

    @property
    def num_workers(self) -> int:
        """The number of processes, which may change."""

    def submit(self, work: Any, /, *args: Any) -> "Future[Any]":
        """Run work in one of the processes; raise BrokenExecutor in the future if several died of it."""


def run_here(job: EmbedJob, network: Any, progress: Progress) -> str | None:
    """Embed all missing chunks in this process; return as `EmbedJob.run` does."""
    found = (job.run(network, rows, progress) for rows in _divide(job, 1))
    return next(filter(None, found), None)


def run_on(executor: Processes, job: EmbedJob, progress: Progress) -> str | None:
    """Embed all missing chunks on an executor; return as `EmbedJob.run` does, and stop at the first error.

    Raises:
        UserError: A job raised it, or several processes died on the same one.
        KeyboardInterrupt: This process received Ctrl-C or SIGTERM.
    """
    waiting, running = iter(_divide(job, executor.num_workers)), dict[Future[str | None], range]()
    complete = shown = job.array.done
    with _interrupted_by_sigterm(), running_jobs(job.array.path.parent) as counts:
        work = functools.partial(run_job, job, counts)
        try:
            while True:
                free = max(executor.num_workers, 1) - len(running)  # all workers of a cluster may be gone for a while
                for rows in itertools.islice(waiting, max(free, 0)):
                    running[executor.submit(work, rows)] = rows
                if not running:
                    return None
                ended, _ = wait(running, SECONDS_BETWEEN_COUNTS, FIRST_COMPLETED)
                for future in ended:
                    rows = running.pop(future)
                    if changed := _result(future, job, rows):
                        return changed
                    complete += len(rows)
                now = complete + _count(counts, running.values())
                progress.advance(max(now - shown, 0))  # a chunk that is redone does not count twice
                shown = max(now, shown)
        finally:
            for future in running:
                future.cancel()


def _divide(job: EmbedJob, num_processes: int) -> list[range]:
    """Return the missing rows as jobs of several chunks each."""
    gaps = [job.chunks(gap) for gap in job.array.missing()]
    per_process = sum(map(len, gaps)) / max(num_processes, 1) / JOBS_PER_PROCESS
    size = min(max(math.floor(per_process), 1), MAX_CHUNKS_PER_JOB) if num_processes > 1 else MAX_CHUNKS_PER_JOB
    return [
        range(chunks[start].start, chunks[min(start + size, len(chunks)) - 1].stop)
        for chunks in gaps
        for start in range(0, len(chunks), size)
    ]


def _count(counts: Path, running: Iterable[range]) -> int:
    """Return the number of images that running jobs have embedded."""
    found = read_counts(counts)
    return sum(min(found.get(str(rows.start), 0), len(rows)) for rows in running)


def _result(future: "Future[str | None]", job: EmbedJob, rows: range) -> str | None:
    try:
        return future.result()
    except BrokenExecutor as error:
        chunk = next(iter(job.chunks(rows)), rows)
        raise UserError(
            f"Images {chunk.start + 1:,} to {chunk.stop:,} of {job.images_folder}: {error}. Memory may be too small: "
            "lower --infer-batch-size or --num-workers, and run again to resume"
        ) from error


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Handle SIGTERM as Ctrl-C, so that jobs on other machines are stopped too."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt("stopped by SIGTERM; finished chunks are kept. Run the same command again to resume.")

    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
