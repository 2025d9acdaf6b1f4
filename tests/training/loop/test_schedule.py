import pytest
import torch

from training.data.sampling import EpochPlan
from training.loop.schedule import learning_rates, set_learning_rate
from training.settings import TrainingSettings


def _rates(training: TrainingSettings, epochs: int) -> list[tuple[float, float]]:
    plans = [EpochPlan.of(training, num_classes=40, epoch=epoch) for epoch in range(epochs)]
    return [learning_rates(training, plan, iteration) for plan in plans for iteration in range(plan.iterations)]


def test_by_default_the_rates_stay_as_they_are() -> None:
    training = TrainingSettings(lr=0.1, classifiers_lr=0.3, iterations_per_epoch=3)
    assert _rates(training, epochs=4) == [(0.1, 0.3)] * 12


def test_warm_up_rises_along_a_line_over_epochs_and_decay_falls_from_epoch_to_epoch() -> None:
    training = TrainingSettings(lr=1.0, classifiers_lr=10.0, iterations_per_epoch=2, warmup_iterations=4, lr_decay=0.5)
    rates = _rates(training, epochs=3)
    assert [lr for lr, _ in rates] == pytest.approx([0.25, 0.5, 0.75 / 2, 1.0 / 2, 1 / 4, 1 / 4])
    assert [classifiers_lr for _, classifiers_lr in rates] == pytest.approx([10 * lr for lr, _ in rates])


def test_a_rate_is_that_of_the_next_step() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    set_learning_rate(optimizer, 0.25)
    weight.grad = torch.ones(1)
    optimizer.step()
    assert weight.item() == -0.25
