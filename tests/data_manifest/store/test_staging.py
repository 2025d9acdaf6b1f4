"""Which staging folders are dead: locks tell, and where there are none, process numbers and ages."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe
from data_manifest.store.staging import LOCK_SUFFIX, STAGING, dead_staging, remove_dead_staging, staging_folder

HERE, WEEK, NOW = socket.gethostname(), 7 * 24 * 3600, int(time.time())
RECIPE = Recipe("groups", "x", 1, {}, {})
HOLD = """
import os, sys, time
from pathlib import Path
from data_manifest.store.staging import staging_folder
with staging_folder(Path(sys.argv[1])) as staging:
    (staging / "half").write_text("x")
    print(staging, flush=True)
    time.sleep(60)
"""


def staging_of(artifacts: Path, host: str, process: int, started: float, lock: bool = False) -> Path:
    """A staging folder that a run made, perhaps with its lock, which nobody holds."""
    folder = artifacts / STAGING / f"{host}~{process}~{int(started)}~0a1b2c3d"
    (folder / "members").mkdir(parents=True)
    if lock:
        lock_of(folder).touch()
    return folder


def lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + LOCK_SUFFIX)


def renamed(folder: Path, host: str, process: int, started: int) -> Path:
    """A living run's folder and lock under another name, as if it ran elsewhere."""
    other = folder.with_name(f"{host}~{process}~{started}~0a1b2c3d")
    lock_of(folder).rename(lock_of(other))
    return folder.rename(other)


@pytest.fixture
def dead_process() -> int:
    """A process number that was in use a moment ago and is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def living(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A staging folder in tmp_path with the process that fills it."""
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(words, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Path(process.stdout.readline().strip()), process
        process.kill()


@pytest.fixture
def _no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system whose files cannot be locked."""

    def refused(*given: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)


def test_a_run_is_alive_as_long_as_its_process(living: tuple[Path, subprocess.Popen[str]], tmp_path: Path) -> None:
    folder, process = living
    host, number, started, _ = folder.name.rsplit("~", 3)
    assert (host, int(number)) == (HERE, process.pid)
    assert abs(time.time() - int(started)) < 60
    assert dead_staging(tmp_path) == []
    remove_dead_staging(tmp_path)
    assert lock_of(folder).exists()
    process.kill()
    process.wait()
    assert dead_staging(tmp_path) == [folder]
    with publishing(tmp_path, RECIPE):
        assert (folder / "half").exists()  # finished files can be used
    assert list((tmp_path / STAGING).iterdir()) == []


def test_a_living_run_whose_process_number_is_unknown_here(
    living: tuple[Path, subprocess.Popen[str]], tmp_path: Path, dead_process: int
) -> None:
    """As of another container with the same host name."""
    folder = renamed(living[0], HERE, dead_process, NOW)
    assert dead_staging(tmp_path) == []
    with publishing(tmp_path, RECIPE):
        pass
    assert (folder / "half").exists()


def test_a_living_run_of_another_host_that_takes_weeks(
    living: tuple[Path, subprocess.Popen[str]], tmp_path: Path
) -> None:
    renamed(living[0], "elsewhere", 1, NOW - 3 * WEEK)
    assert dead_staging(tmp_path) == []


def test_a_dead_run_whose_process_number_is_in_use_again(tmp_path: Path) -> None:
    folder = staging_of(tmp_path, HERE, os.getpid(), NOW, lock=True)
    assert dead_staging(tmp_path) == [folder]


def test_dead_runs_of_other_hosts_are_told_when_they_are_old(tmp_path: Path) -> None:
    old = staging_of(tmp_path, "elsewhere", os.getpid(), NOW - WEEK - 3600, lock=True)
    staging_of(tmp_path, "else~where", os.getpid(), NOW - WEEK + 3600, lock=True)
    assert dead_staging(tmp_path) == [old]


def test_without_locks_process_numbers_and_ages_tell(tmp_path: Path, dead_process: int) -> None:
    dead = staging_of(tmp_path, HERE, dead_process, NOW)
    living = staging_of(tmp_path, HERE, os.getpid(), NOW - 2 * WEEK)
    long_gone = staging_of(tmp_path, "elsewhere", os.getpid(), NOW - WEEK - 3600)
    perhaps = staging_of(tmp_path, "else~where", dead_process, NOW - WEEK + 3600)
    assert set(dead_staging(tmp_path)) == {dead, long_gone}
    with publishing(tmp_path, RECIPE):
        assert all(folder.exists() for folder in (dead, living, long_gone, perhaps))
    assert [folder.exists() for folder in (dead, living, long_gone, perhaps)] == [False, True, False, True]


@pytest.mark.usefixtures("_no_locks")
def test_a_file_system_without_locks(tmp_path: Path) -> None:
    with staging_folder(tmp_path) as folder:
        assert [path.name for path in (tmp_path / STAGING).iterdir()] == [folder.name]
        assert dead_staging(tmp_path) == []
    assert list((tmp_path / STAGING).iterdir()) == []


def test_a_process_of_another_user_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_ours(process: int, signal: int) -> None:
        raise PermissionError

    staging_of(tmp_path, HERE, 1, NOW)
    monkeypatch.setattr(os, "kill", not_ours)
    assert dead_staging(tmp_path) == []


def test_what_is_stopped_from_the_keyboard_is_dead_at_once(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), staging_folder(tmp_path) as folder:  # noqa: PT012
        assert dead_staging(tmp_path) == []
        raise KeyboardInterrupt
    assert dead_staging(tmp_path) == [folder]


def test_a_lock_that_was_left_alone_is_removed(tmp_path: Path) -> None:
    """Who is killed between the rename and the lock's removal leaves one."""
    (tmp_path / STAGING).mkdir()
    left = lock_of(tmp_path / STAGING / f"{HERE}~1~{NOW}~0a1b2c3d")
    left.touch()
    with left.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        remove_dead_staging(tmp_path)
        assert left.exists()
    remove_dead_staging(tmp_path)
    assert not left.exists()


def test_a_lock_that_is_taken_for_a_leftover_before_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock
    removed: list[Path] = []

    def late(file: int, how: int) -> None:
        if not removed:
            removed.extend((tmp_path / STAGING).glob("*"))
            removed[0].unlink()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with staging_folder(tmp_path) as folder:
        assert lock_of(folder).exists()
        assert lock_of(folder) != removed[0]
        assert dead_staging(tmp_path) == []


def test_what_is_no_staging_folder_is_left_alone(tmp_path: Path) -> None:
    for name in ("a~b~c~d", "notes", "host~1~later~x", "~~~", "host~b1~2~0a1b2c3d"):
        (tmp_path / STAGING / name).mkdir(parents=True)
    assert dead_staging(tmp_path) == []
