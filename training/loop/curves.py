"""Curves of a run for TensorBoard: `tensorboard --logdir artifacts/runs` shows those of all runs.

Along the iterations of the run they have the loss and the learning rate now and then, and what each epoch came to.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from training.loop.reporting import ITERATIONS_BETWEEN_LOOKS
from training.loop.state import TrainingState

FOLDER = "tensorboard"


class Curves:
    """Writes a run's curves into its folder; only the first of several processes has them.

    What a run that was killed had written after its last checkpoint is taken back when it goes on from there.

    Args:
        state: The run.
        iterations: Of an epoch.
        run_folder: Where the curves lie, in a folder of their own. Where there are none yet, as those of a run that
            they were not asked for at first, they begin with the epochs that are done.
    """

    def __init__(self, state: TrainingState, iterations: int, run_folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter  # a second or more, and not there for all

        folder = run_folder / FOLDER
        begins = not any(folder.glob("events.*"))
        self._state, self._iterations, self._folder = state, iterations, folder
        self._seen = self._loss_so_far()
        self._writer = SummaryWriter(str(folder), purge_step=self._step() + 1)
        for row in state.metrics if begins else ():
            self.add_epoch(row)

    def add_iteration(self) -> None:
        """Add the mean loss since the last point, if it is time for one: to look at the loss is to wait for the GPU."""
        iterations = self._state.part.iterations
        if iterations % ITERATIONS_BETWEEN_LOOKS and iterations != self._iterations:
            return
        (seen, sum_then), (now, sum_now) = self._seen, self._loss_so_far()
        if now <= seen:  # an epoch has begun since
            seen, sum_then = 0, 0.0
        self._seen = now, sum_now
        rate = self._state.optimizer.param_groups[0]["lr"]
        self._add({"train/loss": (sum_now - sum_then) / (now - seen), "train/lr": rate}, self._step())

    def add_epoch(self, row: Mapping[str, Any]) -> None:
        """Add what an epoch came to, a row of its metrics."""
        step = (row["epoch"] + 1) * self._iterations
        known = {f"epoch/{name}": value for name, value in row.items() if name != "epoch" and value is not None}
        self._add(known, step)

    def flush(self) -> None:
        """Have all points on the disk: before a checkpoint, or a run that goes on from there would lack them."""
        self._checked(self._writer.flush)

    def close(self) -> None:
        """End the writing."""
        self._checked(self._writer.close)

    def _step(self) -> int:
        return self._state.epoch * self._iterations + self._state.part.iterations

    def _loss_so_far(self) -> tuple[int, float]:
        return self._state.part.iterations, float(self._state.part.loss_sum)

    def _add(self, points: Mapping[str, float], step: int) -> None:
        for name, value in points.items():
            self._checked(self._writer.add_scalar, name, value, step)

    def _checked(self, act: Any, *arguments: Any) -> None:
        try:
            act(*arguments)
        except OSError as error:
            raise UserError(
                f"{self._folder} cannot be written: {error}; free some space, or leave out --tensorboard"
            ) from error
