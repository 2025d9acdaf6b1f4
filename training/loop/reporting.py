"""Log lines and progress of a run, and the rows of the metrics table."""

import logging
from collections.abc import Callable
from typing import Any

from data_manifest.progress import Progress
from training.data.groups import Group
from training.data.sampling import EpochPlan
from training.loop.schedule import learning_rates
from training.loop.state import EpochState, TrainingState
from training.settings import RuntimeSettings, TrainingSettings

LOSS_INTERVAL = 100  # iterations between two readings of the loss, which wait for the GPU
MIN_DATA_BOUND_SHARE = 0.2  # of an epoch's time spent waiting for images
MAX_HIT_SHARE = 0.95  # of the reads that hit the cache, for a larger cache to help
RECALLS = (1, 5, 10, 20)
logger = logging.getLogger(__name__)


class EpochProgress(Progress):
    """Shows an epoch's progress with the loss and the time left, and reports the percentage of the whole run.

    The time left for the run does not include validation.
    """

    def __init__(
        self, plan: EpochPlan, state: EpochState, epochs_num: int, on_percentage: Callable[[int], None] | None
    ) -> None:
        def report(percentage_of_epoch: int) -> None:
            if on_percentage is not None:
                on_percentage((100 * plan.epoch + percentage_of_epoch) // epochs_num)

        done = state.iterations * plan.batch_size
        super().__init__(f"epoch {plan.epoch + 1}/{epochs_num}", plan.num_samples, "images", report, done)
        self._plan, self._state, self._epochs_num = plan, state, epochs_num
        self._facts: dict[str, str] = {}

    def advance_iteration(self) -> None:
        """Count an iteration as done.

        Raises:
            UserError: The loss is not finite.
        """
        iterations, plan = self._state.iterations, self._plan
        on_cpu = self._state.loss_sum.device.type == "cpu"
        if on_cpu or iterations % LOSS_INTERVAL == 0 or iterations == plan.iterations:
            self._facts["loss"] = f"{self._state.mean_loss(plan.epoch):.3f}"
            images_left = plan.num_samples * (self._epochs_num - plan.epoch) - iterations * plan.batch_size
            if time_left := self.time_for(images_left, just_done=plan.batch_size):
                self._facts["run"] = f"{time_left} left"
        self.advance(plan.batch_size, **self._facts)


def log_plan(plan: EpochPlan, group: Group, epochs_num: int) -> None:
    """Log the group of an epoch."""
    logger.info(
        "epoch %d/%d  group %d  %s classes  %s images  %.1f samples per class",
        *(plan.epoch + 1, epochs_num, group.index, f"{group.num_classes:,}", f"{group.num_images:,}"),
        plan.num_samples / plan.num_classes,
    )


def metrics_row(
    plan: EpochPlan, group: Group, state: TrainingState, recalls: dict[int, float], training: TrainingSettings
) -> dict[str, Any]:
    """Return the row of the metrics table of the current epoch."""
    epoch = state.epoch_state
    lr, classifiers_lr = learning_rates(training, plan, plan.iterations - 1)
    return {
        "epoch": plan.epoch,
        "group_index": group.index,
        "loss": epoch.mean_loss(plan.epoch),
        **{f"recall_{k}": recalls.get(k) for k in RECALLS},
        "images_per_second": plan.num_samples / epoch.seconds,
        "data_wait_share": epoch.wait_seconds / epoch.seconds,
        "lr": lr,
        "classifiers_lr": classifiers_lr,
        "resumes": state.resumes,
    }


def log_metrics(row: dict[str, Any], epochs_num: int, best_recall: float | None, runtime: RuntimeSettings) -> None:
    """Log the metrics of an epoch, and advice if it waited long for images.

    `best_recall` is the R@1 of an earlier, better epoch, or None if this one is the best.
    """
    share, recall = row["data_wait_share"], row["recall_1"]
    best = "best" if best_recall is None else f"best {best_recall:.1f}"
    cache = ""
    if row["cache_hit_share"] is not None:
        cache = f"  cache hits {100 * row['cache_hit_share']:.0f} %  read {row['gb_read']:.2f} GB"
    logger.info(
        "epoch %d/%d  loss %.3f  val R@1 %.1f (%s)  %.0f img/s  data wait %.0f %%%s",
        *(row["epoch"] + 1, epochs_num, row["loss"], recall, best, row["images_per_second"], 100 * share, cache),
    )
    if share > MIN_DATA_BOUND_SHARE:
        cache = "" if runtime.cache_folder else "--cache-folder, "
        if row["cache_hit_share"] is not None and row["cache_hit_share"] < MAX_HIT_SHARE:
            cache = f"a larger --cache-gb than {runtime.cache_gb:g}, "
        logger.warning(
            "data wait %.0f %%: training could be up to %.1f times as fast with more workers than --num-workers %d, "
            "%sa faster disk or smaller images",
            *(100 * share, 1 / (1 - share), runtime.num_workers, cache),
        )
