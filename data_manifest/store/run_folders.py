"""Run folders: where long work, training or describing images, keeps what it has done until it is published.

A run folder has one writer at a time, by a lock that ends with the process that holds it, however that ends; and its
`run.json` says what it works on, so that this is kept for as long as the run may go on.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.store.fsync import write_text
from data_manifest.store.locks import fcntl
from data_manifest.store.recipe import Recipe
from data_manifest.store.references import RUN_FILE

LOCK_FILE = ".lock"
logger = logging.getLogger(__name__)


@contextlib.contextmanager
def only_writer(run_folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder, which is made if need be; where there are no locks, that is warned of.

    Raises:
        UserError: Another process works there.
    """
    try:
        run_folder.mkdir(parents=True, exist_ok=True)
        lock = (run_folder / LOCK_FILE).open("a+")
    except OSError as error:
        raise UserError(f"{run_folder} cannot be written: {error.strerror}; choose --artifacts-folder") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise UserError(f"{run_folder} is being worked in by process {lock.read().strip() or '?'}") from None
        except OSError as error:  # as of NFS without a lock service, and some of FUSE
            text = "%s: files cannot be locked there (%s): see to it that no other process works in this folder"
            logger.warning(text, run_folder, error.strerror)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def write_run_file(run: Path, recipe: Recipe) -> None:
    """Write into a run's folder what it works on."""
    write_text(run / RUN_FILE, json.dumps(recipe.stored(), indent=2) + "\n")
