"""The images of the group being trained on, memory-mapped from an Arrow file that all processes share.

A loader worker receives only the path of the file, whatever the number of images.
"""

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MEMBERS_FILE = "members.arrow"


class Members:
    """The images of a group, sorted by class.

    Args:
        file: An uncompressed Arrow IPC file: `class_index`, ascending, and `path`, relative to the images folder.
    """

    def __init__(self, file: Path) -> None:
        self.file, self._table = file, map_table(file)  # now: the next epoch's group replaces the file

    def __reduce__(self) -> tuple[type["Members"], tuple[Path]]:
        return Members, (self.file,)

    @functools.cached_property
    def class_offsets(self) -> npt.NDArray[np.int64]:
        """The number of each class's first image, and the number of images: [num_classes + 1]."""
        column = self._table["class_index"]
        counts = np.zeros(column[-1].as_py() + 1, np.int64)
        for chunk in column.chunks:  # one at a time, so that the column is not copied
            counts += np.bincount(chunk.to_numpy(), minlength=len(counts))
        assert counts.all(), "classes are numbered from 0, without gaps"
        return np.concatenate(([0], np.cumsum(counts)))

    @property
    def num_classes(self) -> int:
        """Classes of the group."""
        return len(self.class_offsets) - 1

    def num_images(self, class_index: int) -> int:
        """Return the number of images of a class."""
        return int(self.class_offsets[class_index + 1] - self.class_offsets[class_index])

    def path(self, class_index: int, image_number: int) -> str:
        """Return the path, relative to the images folder, of an image of a class."""
        return str(self._table["path"][int(self.class_offsets[class_index]) + image_number])


def map_table(file: Path) -> pa.Table:
    """Return an uncompressed Arrow IPC file as a memory-mapped table."""
    return pa.ipc.open_file(pa.memory_map(str(file))).read_all()
