"""What a run tells of itself: its plans, its progress, its figures, and the rows of the metrics table."""

import logging
from collections.abc import Callable
from typing import Any

from data_manifest.progress import Progress
from training.data.groups import Group
from training.data.sampling import EpochPlan
from training.loop.schedule import learning_rates
from training.loop.state import PartOfEpoch, TrainingState
from training.settings import RuntimeSettings, TrainingSettings

ITERATIONS_BETWEEN_LOOKS = 100  # to look at the loss is to wait for the GPU
DATA_BOUND = 0.2  # share of the time spent waiting for images above which these are what training waits for
RECALLS = (1, 5, 10, 20)
logger = logging.getLogger(__name__)


class EpochProgress(Progress):
    """The progress of an epoch, in images, with loss and time left; it reports the percentage of the whole run.

    The time left for the run is that of training alone, without validation.
    """

    def __init__(
        self, plan: EpochPlan, part: PartOfEpoch, epochs_num: int, on_percentage: Callable[[int], None] | None
    ) -> None:
        def report(percentage_of_epoch: int) -> None:
            if on_percentage is not None:
                on_percentage((100 * plan.epoch + percentage_of_epoch) // epochs_num)

        what, done = f"epoch {plan.epoch + 1} of {epochs_num}", part.iterations * plan.batch_size
        super().__init__(what, plan.num_samples, "images", report, done)
        self._plan, self._part, self._epochs_num = plan, part, epochs_num
        self._facts: dict[str, str] = {}

    def advance_iteration(self) -> None:
        """Count an iteration as done.

        Raises:
            UserError: The loss is no number.
        """
        iterations, plan = self._part.iterations, self._plan
        is_cheap = self._part.loss_sum.device.type == "cpu"
        if is_cheap or iterations % ITERATIONS_BETWEEN_LOOKS == 0 or iterations == plan.iterations:
            self._facts["loss"] = f"{self._part.mean_loss(plan.epoch):.3f}"
            images_left = plan.num_samples * (self._epochs_num - plan.epoch) - iterations * plan.batch_size
            if time_left := self.time_for(images_left, just_done=plan.batch_size):
                self._facts["run"] = f"{time_left} left"
        self.advance(plan.batch_size, **self._facts)


def log_plan(plan: EpochPlan, group: Group, epochs_num: int) -> None:
    """Say what an epoch trains on."""
    times = plan.num_samples / plan.num_classes
    text = "epoch %d of %d: %s; an epoch shows each class %.1f times"
    logger.info(text, plan.epoch + 1, epochs_num, group, times)


def metrics_row(
    plan: EpochPlan, group: Group, state: TrainingState, recalls: dict[int, float], training: TrainingSettings
) -> dict[str, Any]:
    """Return what the epoch that a run is in came to."""
    part = state.part
    lr, classifiers_lr = learning_rates(training, plan, plan.iterations - 1)
    return {
        "epoch": plan.epoch,
        "group_index": group.index,
        "loss": part.mean_loss(plan.epoch),
        **{f"recall_{k}": recalls.get(k) for k in RECALLS},
        "images_per_second": plan.num_samples / part.seconds,
        "data_wait_share": part.wait_seconds / part.seconds,
        "lr": lr,
        "classifiers_lr": classifiers_lr,
        "resumes": state.resumes,
    }


def log_figures(row: dict[str, Any], best_recall: float, runtime: RuntimeSettings) -> None:
    """Say what an epoch came to, and whether images were what it waited for."""
    text = "epoch %d: loss %.3f, R@1 %.1f (best %.1f), %.0f images/s, %.0f%% of the time spent waiting for images"
    share, rate = row["data_wait_share"], row["images_per_second"]
    logger.info(text, row["epoch"] + 1, row["loss"], row["recall_1"], best_recall, rate, 100 * share)
    if share > DATA_BOUND:
        logger.warning(
            "data-bound: the network waits for images; more than --num-workers %d, a faster disk or smaller images "
            "on it would make training up to %.1f times as fast",
            *(runtime.num_workers, 1 / (1 - share)),
        )
