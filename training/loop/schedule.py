"""Learning rates, as a pure function of the epoch and the iteration: what is resumed needs nothing else."""

from torch.optim import Optimizer

from training.data.sampling import EpochPlan
from training.settings import TrainingSettings


def rate_factor(training: TrainingSettings, plan: EpochPlan, iteration: int) -> float:
    """Return what the learning rates are multiplied with: 1 without warm-up and decay.

    It rises along a line in the first `warmup_iterations` of the run, and falls by `lr_decay` from epoch to epoch. The
    number of epochs plays no part, so that a run may be given more of them.
    """
    iterations_done = plan.epoch * plan.iterations + iteration
    warm = min(1.0, (iterations_done + 1) / max(1, training.warmup_iterations))
    return float(warm * training.lr_decay**plan.epoch)


def learning_rates(training: TrainingSettings, plan: EpochPlan, iteration: int) -> tuple[float, float]:
    """Return the learning rates of the network and of the classifiers in an iteration."""
    factor = rate_factor(training, plan, iteration)
    return factor * training.lr, factor * training.classifiers_lr


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Have an optimizer take its next steps at a rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
