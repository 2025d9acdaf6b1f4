"""Write a run's checkpoints, best model and metrics; with several ranks, only rank 0 writes."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from data_manifest import schemas
from data_manifest.tables import make_frame, write_table
from training.distributed.processes import any_rank, barrier, is_rank_zero
from training.loop.checkpoints import save_checkpoint
from training.loop.curves import Curves
from training.loop.state import TrainingState
from training.loop.stopping import StoppedError
from training.network.settings import BEST_MODEL
from training.network.weights import save_network
from training.settings import RuntimeSettings

METRICS_TABLE = Path("metrics", "metrics.parquet")


class Saver:
    """Saves a run to its folder; `iterations` are those of an epoch."""

    def __init__(self, state: TrainingState, iterations: int, run_folder: Path, runtime: RuntimeSettings) -> None:
        self.state, self.run_folder = state, run_folder
        self._curves = Curves(state, iterations, run_folder) if runtime.tensorboard and is_rank_zero() else None
        self._iterations, self._seconds = runtime.checkpoint_iterations, 60 * runtime.checkpoint_minutes
        self._saved_at, self._sharded = time.monotonic(), runtime.shard_classifier

    def save_model(self) -> None:
        """Save the network as the best model."""
        if is_rank_zero():
            save_network(self.state.network, self.run_folder / BEST_MODEL)

    def save_metrics(self) -> None:
        """Save the metrics of all finished epochs."""
        if is_rank_zero():
            rows = make_frame(self.state.metrics, schemas.METRICS)
            write_table(rows, self.run_folder / METRICS_TABLE, schemas.METRICS)
        if self._curves:
            self._curves.add_epoch(self.state.metrics[-1])

    def save(self) -> None:
        """Save a checkpoint."""
        if self._curves:
            self._curves.flush()
        if is_rank_zero() or self._sharded:
            content = self.state.checkpoint()
            if is_rank_zero():
                save_checkpoint(content, self.run_folder)
        self._saved_at = time.monotonic()

    def save_if_due(self) -> None:
        """After an iteration, save a checkpoint if enough minutes or iterations have passed."""
        if self._curves:
            self._curves.add_iteration()
        by_clock = time.monotonic() - self._saved_at >= self._seconds
        is_due = by_clock or bool(self._iterations and self.state.epoch_state.iterations % self._iterations == 0)
        if any_rank(is_due) if self._sharded else is_due:  # clocks differ, and all ranks gather sharded classifiers
            self.save()

    @contextlib.contextmanager
    def saving_when_stopped(self) -> Iterator[None]:
        """Save a checkpoint if this context is asked to stop, and add to the message how to resume."""
        try:
            yield
        except StoppedError as stop:
            self.save()
            barrier()  # torchrun would stop rank 0 while it saves if another rank exited
            raise StoppedError(
                f"{stop} after iteration {self.state.epoch_state.iterations:,} of epoch {self.state.epoch + 1}; saved "
                f"to {self.run_folder}. Run the same command again to resume."
            ) from None
        finally:
            if self._curves:
                self._curves.close()
