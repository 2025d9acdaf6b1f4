"""What arrays of numbers are called here."""

import numpy as np
import numpy.typing as npt

Letters = npt.NDArray[np.uint8]  # bytes
Offsets = npt.NDArray[np.int64]  # places in them, or rows
Numbers = npt.NDArray[np.int32]
Sums = npt.NDArray[np.uint64]
