"""Learning rates and early stopping, as pure functions of epoch, iteration and metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import Optimizer

from training.data.sampling import EpochPlan
from training.settings import TrainingSettings


def learning_rates(training: TrainingSettings, plan: EpochPlan, iteration: int) -> tuple[float, float]:
    """Return the learning rates of the network and of the classifiers in an iteration.

    They rise linearly over the run's first `warmup_iterations`, and are multiplied by `lr_decay` after each epoch. They
    do not depend on the number of epochs, so that a run may be extended.
    """
    iterations_done = plan.epoch * plan.iterations + iteration
    warm = min(1.0, (iterations_done + 1) / max(1, training.warmup_iterations))
    factor = float(warm * training.lr_decay**plan.epoch)
    return factor * training.lr, factor * training.classifiers_lr


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of all parameters of an optimizer."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def epochs_needed(metrics: Sequence[Mapping[str, Any]], training: TrainingSettings) -> int:
    """Return the number of epochs after which a run ends, given the rows of its metrics so far.

    That is `epochs_num`, or fewer if R@1 did not improve in the `patience` epochs after the best one.
    """
    best_recall, best_epoch = 0.0, -1
    for row in metrics:
        if row["recall_1"] > best_recall:
            best_recall, best_epoch = row["recall_1"], row["epoch"]
        elif training.patience is not None and row["epoch"] - best_epoch >= training.patience:
            return min(training.epochs_num, int(row["epoch"]) + 1)
    return training.epochs_num
