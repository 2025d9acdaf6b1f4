"""An array on disk that processes write in chunks, so that an interrupted run resumes at the missing ones."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_manifest.store.files import disk_usage


class ChunkedArray:
    """A .npy file of float32, and a folder `<name>.done` with an empty file `<first>-<end>` per range of done rows.

    Several processes, also of other machines, may write different rows at once.
    """

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self.path, self.shape = path, shape
        self._done_folder = path.with_suffix(".done")

    def create_or_resume(self) -> None:
        """Create the file, unless there is one of this shape.

        Raises:
            OSError: The disk is too small for it.
        """
        if self._done_folder.is_dir() and self._has_shape():
            return
        shutil.rmtree(self._done_folder, ignore_errors=True)
        self.path.unlink(missing_ok=True)
        total, free = disk_usage(self.path.parent)
        if total and free < 4 * self.shape[0] * self.shape[1]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        np.lib.format.open_memmap(self.path, "w+", np.float32, self.shape)
        self._done_folder.mkdir()

    def _has_shape(self) -> bool:
        try:
            return bool(np.load(self.path, mmap_mode="r").shape == self.shape)
        except (OSError, ValueError):  # missing, or shorter than its header says
            return False

    def missing(self, within: range | None = None) -> list[range]:
        """Return the ranges of rows, within a range if given, that are not done."""
        within = range(self.shape[0]) if within is None else within
        gaps, start = list[range](), within.start
        for first, end in sorted(self._done_ranges()):
            if start < min(first, within.stop):
                gaps.append(range(start, min(first, within.stop)))
            start = max(start, end)
        return [*gaps, range(start, within.stop)] if start < within.stop else gaps

    def _done_ranges(self) -> Iterator[tuple[int, int]]:
        for file in self._done_folder.iterdir():
            first, _, end = file.name.partition("-")
            if first.isdecimal() and end.isdecimal():  # NFS has files .nfs...
                yield int(first), int(end)

    @property
    def done(self) -> int:
        """The number of rows that are done."""
        return self.shape[0] - sum(map(len, self.missing()))

    def write(self, first: int, rows: npt.NDArray[np.float32]) -> None:
        """Write rows [n, columns] to disk from a row on. They count as done once they are on it.

        Raises:
            OSError: The disk is full, or the file is gone.
        """
        data = np.ascontiguousarray(rows, np.float32).data.cast("B")
        row_bytes = 4 * self.shape[1]
        # O_DSYNC, and no reading: otherwise NFS may write whole pages, with stale bytes of a neighbouring chunk.
        file = os.open(self.path, os.O_WRONLY | getattr(os, "O_DSYNC", 0))
        try:  # written, not mapped: a mapped file on a full disk kills the process
            offset = os.fstat(file).st_size - (self.shape[0] - first) * row_bytes
            while data:
                written = os.pwrite(file, data, offset)
                data, offset = data[written:], offset + written
            os.fsync(file)
        finally:
            os.close(file)
        (self._done_folder / f"{first}-{first + len(rows)}").touch()
