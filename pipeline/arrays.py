"""What arrays of numbers are called here, and where a number of one is first."""

import numpy as np
import numpy.typing as npt

Letters = npt.NDArray[np.uint8]  # bytes
Offsets = npt.NDArray[np.int64]  # places in them, or rows
Numbers = npt.NDArray[np.int32]
Sums = npt.NDArray[np.uint64]


def first_rows(numbers: Numbers, count: int) -> Offsets:
    """Return the first row of each number from 0 up to `count`; each of them is there."""
    first = np.empty(count, np.int64)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]  # of the rows of a number the first is written last
    return first
