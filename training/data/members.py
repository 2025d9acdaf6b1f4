"""The images of the group that an epoch trains on: an uncompressed Arrow file that all processes map into memory.

Only what is looked at comes into memory, once for all loader workers, and the system may take it back. A worker gets
the file's path alone, however many images there are: what is more than a pipe holds would start them one by one.
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
        self.file, self._table = file, map_table(file)  # at once, for the file's name may come to be another group's

    def __reduce__(self) -> tuple[type["Members"], tuple[Path]]:
        return Members, (self.file,)

    @functools.cached_property
    def class_offsets(self) -> npt.NDArray[np.int64]:
        """The number of each class's first image, and the number of images: [num_classes + 1]."""
        return np.concatenate(([0], np.cumsum(_count_members(self._table["class_index"]))))

    @property
    def num_classes(self) -> int:
        """Classes of the group."""
        return len(self.class_offsets) - 1

    def num_images(self, class_index: int) -> int:
        """Return how many images a class has."""
        return int(self.class_offsets[class_index + 1] - self.class_offsets[class_index])

    def path(self, class_index: int, image_number: int) -> str:
        """Return the path, relative to the images folder, of an image of a class."""
        return str(self._table["path"][int(self.class_offsets[class_index]) + image_number])


def map_table(file: Path) -> pa.Table:
    """Return an uncompressed Arrow IPC file as a table whose columns are the file's own bytes."""
    return pa.ipc.open_file(pa.memory_map(str(file))).read_all()


def _count_members(class_indices: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return how many members each class has."""
    counts, last = np.zeros(0, np.int64), 0
    for chunk in class_indices.chunks:
        values = chunk.to_numpy()
        if not len(values):
            continue
        assert (np.diff(values, prepend=last) >= 0).all(), "members are sorted by class"
        more = np.bincount(values)
        more[: len(counts)] += counts
        counts, last = more, values[-1]
    assert counts.all(), "classes are numbered from 0, without gaps"
    return counts
