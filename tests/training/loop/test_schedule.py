import pytest
import torch

from training.data.sampling import EpochPlan
from training.loop.schedule import epochs_needed, learning_rates, set_learning_rate
from training.settings import TrainingSettings


def _rates(training: TrainingSettings, epochs: int) -> list[tuple[float, float]]:
    plans = [EpochPlan.of(training, num_classes=40, epoch=epoch) for epoch in range(epochs)]
    return [learning_rates(training, plan, iteration) for plan in plans for iteration in range(plan.iterations)]


def test_rates_are_constant_by_default() -> None:
    training = TrainingSettings(lr=0.1, classifiers_lr=0.3, iterations_per_epoch=3)
    assert _rates(training, epochs=4) == [(0.1, 0.3)] * 12


def test_linear_warmup_and_decay_per_epoch() -> None:
    training = TrainingSettings(lr=1.0, classifiers_lr=10.0, iterations_per_epoch=2, warmup_iterations=4, lr_decay=0.5)
    rates = _rates(training, epochs=3)
    assert [lr for lr, _ in rates] == pytest.approx([0.25, 0.5, 0.75 / 2, 1.0 / 2, 1 / 4, 1 / 4])
    assert [classifiers_lr for _, classifiers_lr in rates] == pytest.approx([10 * lr for lr, _ in rates])


def test_set_learning_rate_applies_to_the_next_step() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    set_learning_rate(optimizer, 0.25)
    weight.grad = torch.ones(1)
    optimizer.step()
    assert weight.item() == -0.25


@pytest.mark.parametrize(
    ("recalls", "patience", "needed"),
    [
        ([], 1, 9),
        ([50, 40, 30, 20], None, 9),
        ([50, 60, 70], 1, 9),
        ([50, 40], 1, 2),
        ([50, 50], 1, 2),  # equal is not better
        ([50, 40, 60], 2, 9),
        ([50, 60, 40], 2, 9),
        ([50, 60, 40, 59], 2, 4),
        ([0, 0], 2, 2),  # 0 is never best
        ([0, 10, 0], 2, 9),
        ([50, 60, 40, 59, 99], 2, 4),  # was resumed with more patience
        ([50, 40, 30, 20, 10, 9, 8, 7, 6, 5], 9, 9),
    ],
)
def test_patience_counts_epochs_after_the_best(recalls: list[float], patience: int | None, needed: int) -> None:
    rows = [{"epoch": epoch, "recall_1": recall} for epoch, recall in enumerate(recalls)]
    assert epochs_needed(rows, TrainingSettings(epochs_num=9, patience=patience)) == needed
