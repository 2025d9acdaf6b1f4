import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import os
import shutil
import signal
import time
from collections.abc import Iterator
from multiprocessing.forkserver import ForkServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_manifest.errors import UserError
from data_manifest.images import loader_workers
from data_manifest.images.loader_workers import check_shared_memory, end_with_parent, forkserver, receive_batches
from tests.helpers import fork

MB = 10**6


@pytest.fixture
def free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Free bytes of a shared memory of 64 MB, to be changed."""
    free = [64 * MB]
    monkeypatch.setattr(loader_workers, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=64 * MB, used=0, free=free[0]))
    return free


@pytest.mark.parametrize(
    ("batches", "num_workers", "processes", "needed"),
    [
        (1000, 8, "1", 17 * MB),  # two batches per worker, and one in use
        (1000, 1, "1", 3 * MB),
        (5, 8, "1", 5 * MB),
        (1000, 8, "2", 34 * MB),
    ],
)
def test_shared_memory_must_hold_all_batches_that_workers_prepare(
    free: list[int], monkeypatch: pytest.MonkeyPatch, batches: int, num_workers: int, processes: str, needed: int
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    free[0] = needed
    check_shared_memory(MB, batches, num_workers, "--batch-size")
    free[0] = needed - 1
    with pytest.raises(UserError) as error:
        check_shared_memory(MB, batches, num_workers, "--batch-size")
    message = str(error.value)
    assert f"but {num_workers} workers need {needed / MB:.1f} MB for their batches of 1.0 MB. Raise it" in message
    assert f"(Docker: --shm-size {-(-(64 * MB + 1) // 2**20)}m), lower --num-workers or --batch-size" in message
    assert message.endswith("or give --num-workers 0.")
    assert "\n" not in message


def test_without_workers_or_a_limit_there_is_nothing_to_compare(
    free: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    free[0] = 0
    check_shared_memory(MB, 1000, 0, "--batch-size")
    monkeypatch.setattr(loader_workers, "SHARED_MEMORY", tmp_path / "not-there")  # as on macOS
    check_shared_memory(MB, 1000, 8, "--batch-size")
    monkeypatch.setattr(loader_workers, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=0, used=0, free=0))
    check_shared_memory(MB, 1000, 8, "--batch-size")


def failing(error: Exception) -> Iterator[int]:
    yield 1
    raise error


@pytest.mark.parametrize(
    "lost",
    [
        RuntimeError("DataLoader worker (pid(s) 77, 78) exited unexpectedly"),
        RuntimeError("DataLoader worker (pid 77) is killed by signal: Bus error. It is possible that ...\nmore"),
        RuntimeError("Pin memory thread exited unexpectedly"),
        RuntimeError("Too many open files. Communication with the workers is no longer possible. ..."),
        ConnectionResetError(104, "Connection reset by peer"),
        EOFError(),
    ],
)
def test_a_worker_that_died_is_a_message(free: list[int], lost: Exception) -> None:
    batches = receive_batches(failing(lost), "--infer-batch-size")
    assert next(batches) == 1
    with pytest.raises(UserError) as error:
        next(batches)
    reason = (str(lost) or "EOFError").partition("\n")[0].rstrip(".")
    assert str(error.value).startswith(f"A batch is lost: {reason}. Shared memory (")
    assert "64.0 MB; Docker: --shm-size) or memory may be too small" in str(error.value)
    assert str(error.value).endswith("lower --num-workers or --infer-batch-size, or give --num-workers 0.")


@pytest.mark.parametrize("mistake", [RuntimeError("Caught RuntimeError in DataLoader worker"), EOFError("Caught EOFE")])
def test_other_errors_stay_as_they_are(mistake: Exception) -> None:
    with pytest.raises(type(mistake), match=str(mistake)):
        list(receive_batches(failing(mistake), "--batch-size"))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForkServer]:
    """Use a new fork server in place of that of all tests."""
    server = ForkServer()
    for name in ("ensure_running", "connect_to_new_process"):
        monkeypatch.setattr(multiprocessing.forkserver, name, getattr(server, name))
    yield server
    server._stop()  # type: ignore[attr-defined]


def test_signals_to_all_processes_of_a_job_end_neither_the_fork_server_nor_its_workers(server: ForkServer) -> None:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    context = forkserver()
    processes: list[int] = [server._forkserver_pid]  # type: ignore[attr-defined]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    workers = []
    for each in (None, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if each is not None:
            for number in processes:
                os.kill(number, each)
        pipe, other_end = context.Pipe()
        worker = context.Process(target=_echo, args=(other_end,), daemon=True)
        worker.start()
        assert worker.pid is not None
        processes.append(worker.pid)
        workers.append((worker, pipe))
    for worker, pipe in workers:
        pipe.send("ended")
        assert pipe.recv() == "ended"
        worker.join()
        assert worker.exitcode == 0


def _echo(pipe: "multiprocessing.connection.Connection[str, str]") -> None:
    pipe.send(pipe.recv())


def test_a_process_with_workers_exits(tmp_path: Path) -> None:
    process = fork(tmp_path, _leave_a_worker)
    process.join(20)
    is_alive = process.is_alive()
    process.kill()
    assert not is_alive
    assert process.exitcode == 0


def _leave_a_worker() -> None:
    forkserver().Process(target=_sleep, daemon=True).start()


def _sleep() -> None:
    end_with_parent()
    time.sleep(60)
