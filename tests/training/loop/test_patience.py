import pytest

from training.loop.patience import epochs_needed
from training.settings import TrainingSettings


@pytest.mark.parametrize(
    ("recalls", "patience", "needed"),
    [
        ([], 1, 9),
        ([50, 40, 30, 20], None, 9),
        ([50, 60, 70], 1, 9),
        ([50, 40], 1, 2),
        ([50, 50], 1, 2),  # as good is no better
        ([50, 40, 60], 2, 9),
        ([50, 60, 40], 2, 9),
        ([50, 60, 40, 59], 2, 4),
        ([0, 0], 2, 2),  # 0 is not best
        ([0, 10, 0], 2, 9),
        ([50, 60, 40, 59, 99], 2, 4),  # gone further with more patience
        ([50, 40, 30, 20, 10, 9, 8, 7, 6, 5], 9, 9),
    ],
)
def test_so_many_epochs_after_the_best_are_waited_for_a_better_one(
    recalls: list[float], patience: int | None, needed: int
) -> None:
    rows = [{"epoch": epoch, "recall_1": recall} for epoch, recall in enumerate(recalls)]
    assert epochs_needed(rows, TrainingSettings(epochs_num=9, patience=patience)) == needed
