"""Early stopping: after how many epochs a run ends that has waited long enough for a better one."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.settings import TrainingSettings


def epochs_needed(metrics: Sequence[Mapping[str, Any]], training: TrainingSettings) -> int:
    """Return after how many epochs a run ends, as far as the rows of its metrics tell.

    That is `epochs_num`, or earlier, where `patience` epochs after the best one have not been better at R@1.
    """
    best_recall, best_epoch = 0.0, -1
    for row in metrics:
        if row["recall_1"] > best_recall:
            best_recall, best_epoch = row["recall_1"], row["epoch"]
        elif training.patience is not None and row["epoch"] - best_epoch >= training.patience:
            return min(training.epochs_num, int(row["epoch"]) + 1)
    return training.epochs_num
