"""Staging folders: where an artifact is built, out of readers' sight, until one rename publishes it.

`<artifacts>/.staging/<host>~<process>~<time>~<random>` is a run's own. The file of that name with `.lock` is locked as
long as the run lives: the system lets go of it when the process ends, however it ends. So it is certain whether a run
is dead, be its process number in use again or that of another container. Where files cannot be locked, the process
number is asked. Of other hosts the age must agree: a file system may keep their locks from us.
"""

import contextlib
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.store.locks import fcntl

STAGING = ".staging"
LOCK_SUFFIX = ".lock"
STALE_AFTER_SECONDS = 7 * 24 * 3600
_NAME = re.compile(r"(?P<host>.*)~(?P<process>\d{1,10})~(?P<started>\d{1,12})~([a-z]+-)?[0-9a-f]{8}")


def new_name(mark: str = "") -> str:
    """Return a name for a staging folder of this process; a mark, as in `removed-`, says what it is for."""
    return f"{socket.gethostname()}~{os.getpid()}~{int(time.time())}~{mark}{uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def staging_folder(artifacts: Path) -> Iterator[Path]:
    """Give a folder to build in, which other runs leave alone; what is left of it in the end is removed.

    What is stopped from the keyboard, or killed, leaves it: `dead_staging` finds it from then on.

    Raises:
        UserError: The folder cannot be made.
    """
    with contextlib.ExitStack() as held:
        try:
            (artifacts / STAGING).mkdir(parents=True, exist_ok=True)
            staging = held.enter_context(locked_name(artifacts / STAGING))
            staging.mkdir()
        except OSError as error:
            raise UserError(f"cannot write in {artifacts}: {error.strerror}; choose --artifacts-folder") from error
        try:
            yield staging
        except KeyboardInterrupt:
            raise
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        shutil.rmtree(staging, ignore_errors=True)


@contextlib.contextmanager
def locked_name(parent: Path, mark: str = "") -> Iterator[Path]:
    """Give the path of a folder to be made, with its lock held: there is no moment at which it looks dead.

    `mark` is as in `new_name`.
    """
    staging, descriptor = _lock_a_new_name(parent, mark)
    try:
        yield staging
    finally:
        if not staging.exists():
            _lock_of(staging).unlink(missing_ok=True)
        os.close(descriptor)


def _lock_a_new_name(parent: Path, mark: str) -> tuple[Path, int]:
    while True:
        staging = parent / new_name(mark)
        lock = _lock_of(staging)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            lock.unlink()
            return staging, descriptor
        if lock.exists():
            return staging, descriptor
        os.close(descriptor)  # between the two steps another run took it for a leftover


def dead_staging(artifacts: Path) -> list[Path]:
    """Return the staging folders of runs that are certainly dead; files in them that are finished can be used."""
    return sorted(folder for folder in (artifacts / STAGING).glob("*") if _is_dead(folder))


def remove_dead_staging(artifacts: Path) -> None:
    """Remove what dead runs left."""
    for folder in dead_staging(artifacts):
        shutil.rmtree(folder, ignore_errors=True)
    for lock in (artifacts / STAGING).glob(f"*{LOCK_SUFFIX}"):
        if not lock.with_suffix("").exists():
            _is_let_go(lock, remove=True)


def _is_dead(folder: Path) -> bool:
    name = _NAME.fullmatch(folder.name)
    if name is None:
        return False
    is_here = name["host"] == socket.gethostname()
    if not is_here and time.time() - int(name["started"]) <= STALE_AFTER_SECONDS:
        return False
    is_let_go = _is_let_go(_lock_of(folder))
    if is_let_go is None:
        return not is_here or not _is_running(int(name["process"]))
    return is_let_go


def _lock_of(staging: Path) -> Path:
    return staging.with_name(staging.name + LOCK_SUFFIX)


def _is_let_go(lock: Path, remove: bool = False) -> bool | None:
    """Return whether no run holds a lock, None where that cannot be told; remove it then if asked to."""
    try:
        with lock.open("r+b") as file:  # network file systems lock only what may be written
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if remove:
                lock.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
