"""Jobs that run side by side: the order of what they give, what is counted, and how they end."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from data_manifest.progress import Progress
from pipeline.execution import executor as executor_module
from pipeline.execution.executor import run_all


class ByHand(Executor):
    """Keeps jobs until they are done by hand."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        self.jobs.append((Future(), lambda: work(*given, **named)))
        return self.jobs[-1][0]

    def do(self, number: int) -> None:
        future, work = self.jobs[number]
        assert future.set_running_or_notify_cancel()
        future.set_result(work())


@pytest.fixture
def told() -> list[int]:
    return []


@pytest.fixture
def progress(told: list[int]) -> Iterator[Progress]:
    with Progress("testing", 4, "jobs", told.append) as progress:
        yield progress


def test_results_are_in_the_order_of_the_jobs(progress: Progress) -> None:
    later = threading.Event()

    def work(job: int) -> int:
        if job == 0:
            assert later.wait(60)
        if job == 3:
            later.set()
        return job * job

    with ThreadPoolExecutor(4) as threads:
        assert list(run_all(work, range(4), progress, threads)) == [0, 1, 4, 9]
        assert threads.submit(abs, -1).result() == 1, "an executor that was given goes on"
    assert list(run_all(abs, [-1, -2], progress)) == [1, 2]
    assert list(run_all(abs, [], progress)) == []


def test_progress_advances_past_a_slow_first_job(progress: Progress, told: list[int]) -> None:
    by_hand = ByHand()
    results: list[int] = []

    def consume() -> None:
        results.extend(run_all(abs, [-1, -2, -3, -4], progress, by_hand))

    thread = threading.Thread(target=consume)
    thread.start()
    while len(by_hand.jobs) < 4:
        thread.join(0.001)
    for number in (3, 1, 2):
        by_hand.do(number)
    while told[-1:] != [75]:
        thread.join(0.001)
    assert results == []
    by_hand.do(0)
    thread.join(60)
    assert (told, results) == ([25, 50, 75, 100], [1, 2, 3, 4])


def test_first_error_cancels_the_other_jobs(progress: Progress) -> None:
    class SecondFails(ByHand):
        def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
            future = super().submit(work, *given, **named)
            if len(self.jobs) == 2:
                future.set_exception(ZeroDivisionError())
            return future

    by_hand = SecondFails()
    with pytest.raises(ZeroDivisionError):
        list(run_all(abs, [1, 2, 3, 4], progress, by_hand))
    assert [future.cancelled() for future, _ in by_hand.jobs] == [True, False, True, True]


def test_interrupt_cancels_all_jobs(progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = ByHand()

    class Stopped:
        def get(self) -> None:
            raise KeyboardInterrupt

        __class_getitem__ = classmethod(lambda cls, _: cls)

        def put(self, future: Future[Any]) -> None:
            pass

    monkeypatch.setattr(executor_module, "SimpleQueue", Stopped)
    with pytest.raises(KeyboardInterrupt):
        list(run_all(abs, [1, 2], progress, by_hand))
    assert all(future.cancelled() for future, _ in by_hand.jobs)


def test_jobs_are_consumed_lazily(progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_module, "MAX_SUBMITTED", 3)
    taken: list[int] = []

    def jobs() -> Iterator[int]:
        for job in range(100):
            taken.append(job)
            yield job

    results = run_all(abs, jobs(), progress)
    assert next(results) == 0
    assert len(taken) < 100
    assert list(results) == list(range(1, 100))
