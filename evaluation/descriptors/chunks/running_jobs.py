"""Folder of running jobs: each process writes its number of images to a file; removing the folder stops them all."""

import contextlib
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

SECONDS_BETWEEN_WRITES = 1.0
PREFIX = "running-"


@contextlib.contextmanager
def running_jobs(run: Path) -> Iterator[Path]:
    """Create the folder of this command's jobs in a run folder, and remove it at the end and those of earlier ones."""
    for earlier in run.glob(f"{PREFIX}*"):  # a killed command's jobs may still run on other machines
        shutil.rmtree(earlier, ignore_errors=True)
    folder = run / f"{PREFIX}{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_counts(folder: Path) -> dict[str, int]:
    """Return the number of images that each running job has embedded, by the name of its file."""
    counts = {}
    for file in folder.iterdir():
        with contextlib.suppress(OSError, ValueError):  # being written
            counts[file.name] = int(file.read_text())
    return counts


class CountFile:
    """Counts the images of a job, and writes their number to a file about every second."""

    def __init__(self, file: Path) -> None:
        self._file, self._count, self._next_write = file, 0, 0.0

    def advance(self, units: int, /) -> None:
        """Count images as done.

        Raises:
            FileNotFoundError: The folder is gone: the command that started this job has ended.
        """
        self._count += units
        if time.monotonic() >= self._next_write:
            self._file.write_text(str(self._count))
            self._next_write = time.monotonic() + SECONDS_BETWEEN_WRITES
