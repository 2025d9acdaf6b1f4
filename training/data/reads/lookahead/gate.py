"""The number of batches that loader workers may read, shared by the training processes of a machine.

Workers that read what the look-ahead is about to read would compete with it for the store, and break its order.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

POLL_S = 0.002
OPEN = np.iinfo(np.int64).max


class Gate:
    """Lets batches through in their order, counted over all epochs.

    Args:
        file: The file that the processes share; see `make`.
        is_stopping: True if the run was asked to stop: the gate is opened then, for all processes.
    """

    def __init__(self, file: Path, is_stopping: Callable[[], bool]) -> None:
        self._passed = np.memmap(file, np.int64, "r+", shape=(1,))
        self._is_stopping = is_stopping
        self.waited = 0.0  # seconds

    @staticmethod
    def make(file: Path) -> None:
        """Make the file of a gate that lets nothing through; one process does so before the others open it."""
        file.write_bytes(bytes(8))

    def let_through(self, batches: int) -> None:
        """Let the first `batches` batches of the training through."""
        if batches > self._passed[0]:
            self._passed[0] = batches

    def open(self) -> None:
        """Let everything through from now on."""
        self.let_through(OPEN)

    def wait(self, batch: int) -> None:
        """Return when a batch is let through."""
        if self._passed[0] > batch:
            return
        began = time.perf_counter()
        while self._passed[0] <= batch:
            if self._is_stopping():
                self.open()
            time.sleep(POLL_S)
        self.waited += time.perf_counter() - began
