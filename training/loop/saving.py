"""What a run leaves on the disk, and when: after each epoch, now and then within one, and when it is asked to stop.

Of processes that train together only the first writes: all have the same state.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from data_manifest import schemas
from data_manifest.tables import write_table
from training.distributed.processes import barrier, is_rank_zero
from training.loop.checkpoints import save_checkpoint
from training.loop.curves import Curves
from training.loop.state import TrainingState
from training.loop.stopping import StoppedError
from training.network.settings import BEST_MODEL
from training.network.weights import save_network
from training.settings import RuntimeSettings

METRICS_TABLE = Path("metrics", "metrics.parquet")


class Saver:
    """Saves the state of a run, and what it has come to, into its folder.

    Args:
        state: The run.
        iterations: Of an epoch.
        run_folder: Its folder.
        runtime: How often to save, and whether with curves for TensorBoard.
    """

    def __init__(self, state: TrainingState, iterations: int, run_folder: Path, runtime: RuntimeSettings) -> None:
        self.state, self.run_folder = state, run_folder
        self._curves = Curves(state, iterations, run_folder) if runtime.tensorboard and is_rank_zero() else None
        self._iterations, self._seconds = runtime.checkpoint_iterations, 60 * runtime.checkpoint_minutes
        self._saved_at = time.monotonic()

    def save_model(self) -> None:
        """Save the network as the best one."""
        if is_rank_zero():
            save_network(self.state.network, self.run_folder / BEST_MODEL)

    def save_metrics(self) -> None:
        """Save the rows of all epochs that are done."""
        if is_rank_zero():
            write_table(pl.DataFrame(self.state.metrics), self.run_folder / METRICS_TABLE, schemas.METRICS)
        if self._curves:
            self._curves.add_epoch(self.state.metrics[-1])

    def save(self) -> None:
        """Save the state as it is."""
        if self._curves:
            self._curves.flush()
        if is_rank_zero():
            save_checkpoint(self.state.checkpoint(), self.run_folder)
        self._saved_at = time.monotonic()

    def save_if_due(self) -> None:
        """After an iteration, save the state if it is time to, by the clock or by the number of iterations."""
        if self._curves:
            self._curves.add_iteration()
        by_clock = time.monotonic() - self._saved_at >= self._seconds
        if by_clock or (self._iterations and self.state.part.iterations % self._iterations == 0):
            self.save()

    @contextlib.contextmanager
    def saving_when_stopped(self) -> Iterator[None]:
        """Save the state if what happens in this context is asked to stop, and say how to go on; end the curves."""
        try:
            yield
        except StoppedError as stop:
            self.save()
            barrier()  # a process that ends would have torchrun end the one that saves
            place = f"after iteration {self.state.part.iterations:,} of epoch {self.state.epoch + 1}"
            raise StoppedError(
                f"{stop} {place}; all is saved in {self.run_folder}: give the same command again to go on from there"
            ) from None
        finally:
            if self._curves:
                self._curves.close()
