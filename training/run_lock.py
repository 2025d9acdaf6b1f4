"""One writer a run folder: a lock that ends with the process that holds it, however that ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from data_manifest.errors import UserError

LOCK_FILE = ".lock"


@contextlib.contextmanager
def only_writer(run_folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder, which is made if need be.

    Raises:
        UserError: Another process trains there.
    """
    try:
        run_folder.mkdir(parents=True, exist_ok=True)
        lock = (run_folder / LOCK_FILE).open("a+")
    except OSError as error:
        raise UserError(f"{run_folder} cannot be written: {error.strerror}; choose --artifacts-folder") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise UserError(f"{run_folder} is being trained in by process {lock.read().strip() or '?'}") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
