"""The images of the group that an epoch trains on: an uncompressed Arrow file that all processes map into memory.

Only what is looked at comes into memory, once for all loader workers, and the system may take it back. A worker gets
the file's path and the offsets of the classes, however many images there are.
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
        file: An uncompressed Arrow IPC file; its column `path` has the paths, relative to the images folder.
        class_offsets: The number of each class's first image, and the number of images: [num_classes + 1], int64.
    """

    def __init__(self, file: Path, class_offsets: npt.NDArray[np.int64]) -> None:
        self.file, self.class_offsets = file, class_offsets

    def __reduce__(self) -> tuple[type["Members"], tuple[Path, npt.NDArray[np.int64]]]:
        return Members, (self.file, self.class_offsets)

    @property
    def num_classes(self) -> int:
        """Classes of the group."""
        return len(self.class_offsets) - 1

    def num_images(self, class_index: int) -> int:
        """Return how many images a class has."""
        return int(self.class_offsets[class_index + 1] - self.class_offsets[class_index])

    def path(self, class_index: int, image_number: int) -> str:
        """Return the path, relative to the images folder, of an image of a class."""
        return str(self._paths[int(self.class_offsets[class_index]) + image_number])

    @functools.cached_property
    def _paths(self) -> pa.ChunkedArray:
        return map_table(self.file)["path"]


def map_table(file: Path) -> pa.Table:
    """Return an uncompressed Arrow IPC file as a table whose columns are the file's own bytes."""
    return pa.ipc.open_file(pa.memory_map(str(file))).read_all()
