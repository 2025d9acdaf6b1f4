"""TensorBoard curves of a run: loss and learning rate by iteration, and each epoch's metrics.

`tensorboard --logdir artifacts/runs` shows those of all runs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from training.loop.reporting import LOSS_INTERVAL
from training.loop.state import TrainingState

FOLDER = "tensorboard"


class Curves:
    """Writes a run's curves.

    A resumed run drops the points that were written after its checkpoint. Curves that are enabled later begin with the
    epochs already done.
    """

    def __init__(self, state: TrainingState, iterations: int, run_folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter  # late: optional, and takes a second to import

        folder = run_folder / FOLDER
        is_new = not any(folder.glob("events.*"))
        self._state, self._iterations, self._folder = state, iterations, folder
        self._last = self._loss_so_far()
        self._writer = SummaryWriter(str(folder), purge_step=self._step() + 1)
        for row in state.metrics if is_new else ():
            self.add_epoch(row)

    def add_iteration(self) -> None:
        """Add the mean loss since the last point, at each LOSS_INTERVAL: reading the loss waits for the GPU."""
        iterations = self._state.epoch_state.iterations
        if iterations % LOSS_INTERVAL and iterations != self._iterations:
            return
        (last, last_sum), (now, now_sum) = self._last, self._loss_so_far()
        if now <= last:  # a new epoch has begun
            last, last_sum = 0, 0.0
        self._last = now, now_sum
        rate = self._state.optimizer.param_groups[0]["lr"]
        self._add({"train/loss": (now_sum - last_sum) / (now - last), "train/lr": rate}, self._step())

    def add_epoch(self, row: Mapping[str, Any]) -> None:
        """Add a row of the metrics."""
        step = (row["epoch"] + 1) * self._iterations
        self._add(
            {f"epoch/{name}": value for name, value in row.items() if name != "epoch" and value is not None}, step
        )

    def flush(self) -> None:
        """Write all points to disk; needed before a checkpoint, or a resumed run would lack them."""
        self._checked(self._writer.flush)

    def close(self) -> None:
        """Close the writer."""
        self._checked(self._writer.close)

    def _step(self) -> int:
        return self._state.batches(self._iterations)

    def _loss_so_far(self) -> tuple[int, float]:
        return self._state.epoch_state.iterations, float(self._state.epoch_state.loss_sum)

    def _add(self, points: Mapping[str, float], step: int) -> None:
        for name, value in points.items():
            self._checked(self._writer.add_scalar, name, value, step)

    def _checked(self, write: Any, *arguments: Any) -> None:
        try:
            write(*arguments)
        except OSError as error:
            raise UserError(
                f"Cannot write {self._folder}: {error}. Free some space, or leave out --tensorboard."
            ) from error
