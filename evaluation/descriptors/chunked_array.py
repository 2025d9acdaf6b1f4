"""An array on disk that is written chunk by chunk, and knows after a kill how many of its rows are whole.

It is a .npy file, which NumPy maps into memory. Beside it, `<name>.rows` holds the number of rows that are through to
the disk; a chunk counts from the moment that this file is swapped.
"""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_manifest.store.fsync import write_text

BLOCK = 1 << 20  # bytes written at once where the system cannot reserve them


class ChunkedArray:
    """Rows of float32, `total` of them in the end; `done` of them are whole.

    Args:
        path: The .npy file, there or not.
        total: Rows in the end.
    """

    def __init__(self, path: Path, total: int) -> None:
        self.path, self.total = path, total
        self._note = path.with_suffix(".rows")
        self._array = self._found()
        self.done = int(self._note.read_text()) if self._array is not None else 0

    def _found(self) -> npt.NDArray[np.float32] | None:
        if not self._note.is_file() or not self.path.is_file():
            return None
        array = np.load(self.path, mmap_mode="r+")
        return array if len(array) == self.total else None

    def append(self, rows: npt.NDArray[np.float32]) -> None:
        """Write the next rows [n, dim], through to the disk.

        Raises:
            OSError: The disk is full.
        """
        if self._array is None:
            self._array = _reserve(self.path, (self.total, rows.shape[1]))
        self._array[self.done : self.done + len(rows)] = rows
        assert isinstance(self._array, np.memmap)
        self._array.flush()
        self.done += len(rows)
        write_text(self._note, f"{self.done}\n")


def _reserve(path: Path, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Create the file with all its bytes: a mapped file that finds the disk full later would kill the process."""
    array: np.memmap[Any, Any] = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    array.flush()
    with path.open("r+b") as file:
        if not _allocate(file.fileno(), path.stat().st_size):
            file.seek(array.offset)
            for begin in range(0, array.nbytes, BLOCK):
                file.write(bytes(min(BLOCK, array.nbytes - begin)))
    return array


def _allocate(descriptor: int, size: int) -> bool:
    """Return whether the system has reserved a file's bytes: macOS and some file systems cannot."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except AttributeError:
        return False
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
        return False
    return True
