"""Run folders: unfinished training and descriptor extraction, kept until they are published.

Each has one writer at a time. Its `run.json` names the inputs, which gc keeps while the run may be resumed.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.store.files import write_text
from data_manifest.store.locks import fcntl
from data_manifest.store.recipe import Recipe
from data_manifest.store.references import RUN_FILE

LOCK_FILE = ".lock"
logger = logging.getLogger(__name__)


@contextlib.contextmanager
def only_writer(run_folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder, which is created if needed; warn where the file system has no locks.

    Raises:
        UserError: Another process holds the lock.
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
            raise UserError(f"{run_folder} is in use by process {lock.read().strip() or '?'}") from None
        except OSError as error:  # NFS without a lock service, some FUSE
            text = "%s: files cannot be locked there (%s). Make sure that no other process uses this folder"
            logger.warning(text, run_folder, error.strerror)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def write_run_file(run: Path, recipe: Recipe) -> None:
    """Write the recipe of a run's result into its folder."""
    write_text(run / RUN_FILE, json.dumps(recipe.stored(), indent=2) + "\n")
