"""Real processes: their numbers, their deaths, and the errors of jobs."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from functools import partial
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from pipeline.execution.process_executor import MAX_ATTEMPTS, ProcessExecutor

NUMBER = "TEST_NUMBER"


def set_up(folder: Path, number: int) -> None:
    os.environ[NUMBER] = str(number)
    with (folder / "started").open("a") as file:
        file.write(f"{number} {os.getpid()}\n")


def number_after(seconds: float) -> int:
    time.sleep(seconds)
    return int(os.environ[NUMBER])


def die_once(file: Path, value: int) -> int:
    if not file.exists():
        file.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def die(value: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return value


def divide(value: int) -> float:
    return 1 / value


def refuse(value: int) -> None:
    raise UserError(f"M = {value}: too small")


def fail_as_a_lost_pipe_does(value: int) -> None:
    raise EOFError("the file ends early")


def begun_and_sleep(file: Path) -> None:
    file.touch()
    time.sleep(600)


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[ProcessExecutor]:
    with ProcessExecutor(2, partial(set_up, tmp_path)) as executor:
        yield executor


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def processes(folder: Path) -> list[int]:
    return [int(line.split()[1]) for line in (folder / "started").read_text().splitlines()]


def test_each_process_has_its_number_and_stays(executor: ProcessExecutor, tmp_path: Path) -> None:
    assert executor.num_workers == 2
    numbers = {future.result(60) for future in [executor.submit(number_after, 0.2) for _ in range(6)]}
    assert numbers == {0, 1}
    assert len(set(processes(tmp_path))) == len(processes(tmp_path)) == 2
    assert os.getpid() not in processes(tmp_path)


def test_a_killed_job_runs_again_in_a_new_process(executor: ProcessExecutor, tmp_path: Path) -> None:
    assert executor.submit(die_once, tmp_path / "died", 3).result(60) == 3
    assert executor.submit(number_after, 0).result(60) in (0, 1)
    assert len(processes(tmp_path)) >= 2


def test_a_job_that_kills_each_process_is_an_error(executor: ProcessExecutor) -> None:
    with pytest.raises(BrokenExecutor) as error:
        executor.submit(die, 1).result(60)
    assert str(error.value) == f"{MAX_ATTEMPTS} processes died on the same job, the last one killed by SIGKILL"
    assert executor.submit(number_after, 0).result(60) in (0, 1), "the next job runs"


def test_errors_of_jobs_are_raised(executor: ProcessExecutor, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^M = 3: too small$"):
        executor.submit(refuse, 3).result(60)
    with pytest.raises(ZeroDivisionError) as error:
        executor.submit(divide, 0).result(60)
    assert "return 1 / value" in error.value.__notes__[0], "where it was raised"
    with pytest.raises(EOFError, match="the file ends early"):
        executor.submit(fail_as_a_lost_pipe_does, 0).result(60)
    assert len(processes(tmp_path)) <= 2, "no process was replaced"


def test_leaving_kills_running_jobs_at_once(tmp_path: Path) -> None:
    with ProcessExecutor(2, partial(set_up, tmp_path)) as executor:
        futures = [executor.submit(begun_and_sleep, tmp_path / str(number)) for number in range(3)]
        while not ((tmp_path / "0").exists() and (tmp_path / "1").exists()):
            time.sleep(0.01)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert all(future.done() for future in futures)
    assert not (tmp_path / "2").exists()
    while any(map(is_alive, processes(tmp_path))):
        assert time.monotonic() - began < 5
        time.sleep(0.01)
