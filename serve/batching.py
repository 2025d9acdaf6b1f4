"""Run the jobs of concurrent requests in batches, on one thread."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

WAIT_S = 0.02  # for announced jobs
MAX_BATCH = 16
logger = logging.getLogger(__name__)
Job = TypeVar("Job")
Result = TypeVar("Result")


class Batcher(Generic[Job, Result]):
    """Collects jobs while a batch runs, and then for up to `wait_s` seconds while more are announced.

    Args:
        run: Returns the result of each job; called on one thread.
        max_batch: Largest number of jobs per batch.
        wait_s: Longest wait for announced jobs, in seconds.
    """

    def __init__(
        self, run: Callable[[Sequence[Job]], list[Result]], max_batch: int = MAX_BATCH, wait_s: float = WAIT_S
    ) -> None:
        self._run, self._max_batch, self._wait_s = run, max_batch, wait_s
        self._jobs: asyncio.Queue[tuple[Job, asyncio.Future[Result]]] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, "batches")
        self._announced = 0
        self.batches = 0  # number of batches so far

    @contextmanager
    def announced(self) -> Iterator[None]:
        """Announce a job while a context prepares it."""
        self._announced += 1
        try:
            yield
        finally:
            self._announced -= 1

    async def result(self, job: Job) -> Result:
        """Return the result of a job, or raise its error."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait((job, future))
        return await future

    async def run_batches(self) -> None:
        """Run batches until cancelled."""
        try:
            while True:
                batch = [each for each in await self._collect() if not each[1].done()]  # done: cancelled
                outcomes = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._outcomes, [job for job, _ in batch]
                )
                for (_, future), outcome in zip(batch, outcomes, strict=True):
                    if future.done():
                        continue
                    if isinstance(outcome, Exception):
                        future.set_exception(outcome)
                    else:
                        future.set_result(outcome)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _collect(self) -> list[tuple[Job, "asyncio.Future[Result]"]]:
        batch = [await self._jobs.get()]
        with suppress(TimeoutError):
            async with asyncio.timeout(self._wait_s):
                while len(batch) < self._max_batch and (self._announced or not self._jobs.empty()):
                    batch.append(await self._jobs.get())
        return batch

    def _outcomes(self, jobs: list[Job]) -> list[Result | Exception]:
        """Return the result or the error of each job. After an error, the jobs run again one by one."""
        if not jobs:
            return []
        self.batches += 1
        try:
            return list(self._run(jobs))
        except Exception as error:
            if len(jobs) > 1:
                return [outcome for job in jobs for outcome in self._outcomes([job])]
            logger.exception("a photo cannot be localized")
            return [error]
