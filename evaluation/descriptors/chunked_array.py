"""An array on disk that is written in chunks, so that an interrupted run resumes at the last one."""

import errno
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_manifest.store.files import disk_usage, write_text


class ChunkedArray:
    """A .npy file of float32 of which `done` rows are complete; `<name>.rows` next to it holds that number.

    A file of another shape is replaced.

    Raises:
        OSError: The disk is too small for it.
    """

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self.path, self.shape = path, shape
        self._rows_file = path.with_suffix(".rows")
        self.done = self._rows_done()
        if not self.done:
            self._create()

    def _rows_done(self) -> int:
        if self.path.is_file() and self._rows_file.is_file() and np.load(self.path, mmap_mode="r").shape == self.shape:
            return int(self._rows_file.read_text())
        return 0

    def append(self, rows: npt.NDArray[np.float32]) -> None:
        """Write the next rows [n, columns] to disk. They count once the file of the number is replaced.

        Raises:
            OSError: The disk is full.
        """
        row_bytes = 4 * self.shape[1]
        with self.path.open("r+b") as file:  # written, not mapped: a mapped file on a full disk kills the process
            file.seek(-(self.shape[0] - self.done) * row_bytes, os.SEEK_END)
            file.write(np.ascontiguousarray(rows, np.float32).data)
            file.flush()
            os.fsync(file.fileno())
        self.done += len(rows)
        write_text(self._rows_file, f"{self.done}\n")

    def _create(self) -> None:
        for stale in (self._rows_file, self.path):
            stale.unlink(missing_ok=True)
        total, free = disk_usage(self.path.parent)
        if total and free < 4 * self.shape[0] * self.shape[1]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        np.lib.format.open_memmap(self.path, "w+", np.float32, self.shape)
