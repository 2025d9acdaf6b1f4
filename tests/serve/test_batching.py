"""Batches of jobs, without a server."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest

from serve.batching import Batcher
from serve.room import FullError, Room

T = TypeVar("T")


def run_with(batcher: "Batcher[int, int]", work: Callable[[], Awaitable[T]]) -> T:
    async def both() -> T:
        batches = asyncio.create_task(batcher.run_batches())
        try:
            async with asyncio.timeout(10):
                return await work()
        finally:
            batches.cancel()

    return asyncio.run(both())


class Squares:
    """Returns squares, fails on negative numbers, and keeps the batches."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[list[int]] = []
        self.seconds = seconds

    def __call__(self, jobs: Sequence[int]) -> list[int]:
        self.batches.append(list(jobs))
        time.sleep(self.seconds)
        if min(jobs) < 0:
            raise ValueError(min(jobs))
        return [job**2 for job in jobs]


def test_jobs_wait_together_while_a_batch_runs() -> None:
    run = Squares(0.1)
    batcher = Batcher(run, max_batch=3)

    async def work() -> list[int]:
        first = asyncio.create_task(batcher.result(1))
        await asyncio.sleep(0.05)
        return [*await asyncio.gather(*map(batcher.result, range(2, 8))), await first]

    assert run_with(batcher, work) == [4, 9, 16, 25, 36, 49, 1]
    assert run.batches == [[1], [2, 3, 4], [5, 6, 7]]


def test_a_lone_job_does_not_wait_but_announced_ones_do() -> None:
    run = Squares()
    batcher = Batcher(run, wait_s=1000)

    async def announced(job: int) -> int:
        with batcher.announced():
            await asyncio.sleep(0.1 * job)
        return await batcher.result(job)

    async def work() -> list[int]:
        return [await batcher.result(9), *await asyncio.gather(announced(0), announced(1))]

    assert run_with(batcher, work) == [81, 0, 1]
    assert run.batches == [[9], [0, 1]]


def test_waiting_ends() -> None:
    run = Squares()
    batcher = Batcher(run, wait_s=0.02)

    async def work() -> int:
        with batcher.announced():  # and never done
            return await batcher.result(3)

    assert run_with(batcher, work) == 9


def test_an_error_concerns_only_its_job(caplog: pytest.LogCaptureFixture) -> None:
    run = Squares()
    batcher = Batcher(run)

    async def work() -> list[int | BaseException]:
        return list(await asyncio.gather(*map(batcher.result, (1, -2, 3)), return_exceptions=True))

    first, failed, last = run_with(batcher, work)
    assert (first, last) == (1, 9)
    assert isinstance(failed, ValueError)
    assert run.batches == [[1, -2, 3], [1], [-2], [3]]
    assert "ValueError: -2" in caplog.text


def test_cancelled_jobs_do_not_run() -> None:
    run, release = Squares(), threading.Event()

    def wait(jobs: Sequence[int]) -> list[int]:
        release.wait(10)
        return run(jobs)

    batcher = Batcher(wait)

    async def work() -> int:
        first = asyncio.create_task(batcher.result(1))
        await asyncio.sleep(0.05)
        cancelled, last = (asyncio.create_task(batcher.result(job)) for job in (2, 3))
        await asyncio.sleep(0)
        cancelled.cancel()
        release.set()
        return await first + await last

    assert run_with(batcher, work) == 10
    assert run.batches == [[1], [3]]


def test_room_is_bounded_and_given_back() -> None:
    room = Room(3)
    with room.take(2):
        with pytest.raises(FullError), room.take(2):
            pass
        with room.take(1):
            assert room.taken == 3
    assert room.taken == 0
