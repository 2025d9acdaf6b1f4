"""Staging folders: an artifact is built in `<artifacts>/.staging/<host>~<process>~<time>~<random>`, then renamed.

A lock file beside the folder is locked while its process lives, so dead builds are recognized in any container. Where
files cannot be locked, the process number decides. Folders of other hosts must also be a week old, because a file
system may hide their locks.
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
REMOVED = "removed-"  # marks a folder that waits to be deleted, in the last part of its name
MAX_AGE_SECONDS = 7 * 24 * 3600
_NAME = re.compile(r"(?P<host>.*)~(?P<process>\d{1,10})~(?P<started>\d{1,12})~([a-z]+-)?[0-9a-f]{8}")


def new_name(mark: str = "") -> str:
    """Return a new name for a staging folder of this process."""
    return f"{socket.gethostname()}~{os.getpid()}~{int(time.time())}~{mark}{uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def staging_folder(artifacts: Path) -> Iterator[Path]:
    """Yield a new folder to build in, and remove it at the end unless it was renamed.

    After Ctrl-C or a kill it stays, and `dead_staging` returns it.

    Raises:
        UserError: The folder cannot be made.
    """
    try:
        (artifacts / STAGING).mkdir(parents=True, exist_ok=True)
        staging, descriptor = _lock_new_name(artifacts / STAGING)
        staging.mkdir()
    except OSError as error:
        raise UserError(f"cannot write in {artifacts}: {error.strerror}; choose --artifacts-folder") from error
    stays = False
    try:
        yield staging
    except KeyboardInterrupt:
        stays = True
        raise
    finally:
        if not stays:
            shutil.rmtree(staging, ignore_errors=True)
        if not staging.exists():
            _lock_of(staging).unlink(missing_ok=True)
        os.close(descriptor)


def _lock_new_name(parent: Path) -> tuple[Path, int]:
    """Return the path of a folder to be made and the descriptor of its lock, which is held already."""
    while True:
        staging = parent / new_name()
        lock = _lock_of(staging)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            lock.unlink()
            return staging, descriptor
        if lock.exists():
            return staging, descriptor
        os.close(descriptor)  # another process took the unlocked file for a leftover


def dead_staging(artifacts: Path) -> list[Path]:
    """Return the staging folders of dead processes; complete files in them can be reused."""
    return sorted(folder for folder in (artifacts / STAGING).glob("*") if _is_dead(folder))


def remove_dead_staging(artifacts: Path) -> None:
    """Remove the staging folders and locks of dead processes."""
    for folder in dead_staging(artifacts):
        shutil.rmtree(folder, ignore_errors=True)
    for lock in (artifacts / STAGING).glob(f"*{LOCK_SUFFIX}"):
        if not lock.with_suffix("").exists():
            _is_released(lock, remove=True)


def _is_dead(folder: Path) -> bool:
    name = _NAME.fullmatch(folder.name)
    if name is None:
        return False
    is_here = name["host"] == socket.gethostname()
    if not is_here and time.time() - int(name["started"]) <= MAX_AGE_SECONDS:
        return False
    released = _is_released(_lock_of(folder))
    if released is None:
        return not is_here or not _is_running(int(name["process"]))
    return released


def _lock_of(staging: Path) -> Path:
    return staging.with_name(staging.name + LOCK_SUFFIX)


def _is_released(lock: Path, remove: bool = False) -> bool | None:
    """Return whether no process holds a lock, None if unknown; if released, remove it on request."""
    try:
        with lock.open("r+b") as file:  # network file systems lock only writable files
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
    except PermissionError:  # of another user
        pass
    return True
