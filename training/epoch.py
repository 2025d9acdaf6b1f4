"""One epoch of training on one group."""

import dataclasses
import math
import time

import torch
from torch import Tensor

from data_manifest.errors import UserError
from data_manifest.progress import Progress
from training.cosface import GroupClassifier
from training.dataset import GroupDataset
from training.loading import WaitTimer, read_batches
from training.settings import RuntimeSettings
from training.state import TrainingState
from training.step import train_step

ITERATIONS_BETWEEN_LOOKS = 100  # to look at the loss is to wait for the GPU


@dataclasses.dataclass(frozen=True)
class EpochFigures:
    """What an epoch came to: mean loss, training throughput, and the share of its time spent waiting for images."""

    loss: float
    images_per_second: float
    data_wait_share: float


def train_epoch(
    state: TrainingState,
    classifier: GroupClassifier,
    dataset: GroupDataset,
    device: torch.device,
    runtime: RuntimeSettings,
    progress: Progress,
) -> EpochFigures:
    """Train the network and a group's classifier, both on the device, for the iterations of an epoch.

    Raises:
        UserError: An image cannot be read, the loss is no number, or the GPU's memory is too small.
    """
    plan, timer, began = dataset.plan, WaitTimer(), time.perf_counter()
    loss_sum = torch.zeros((), dtype=torch.float64, device=device)
    mean_loss, shown = math.nan, dict[str, str]()
    state.network.train()
    for iteration, (images, class_indices) in enumerate(timer.watch(read_batches(dataset, runtime, device))):
        torch.manual_seed(plan.step_seed(iteration))  # stochastic depth and dropout draw from the global state
        images, class_indices = (part.to(device, non_blocking=True) for part in (images, class_indices))
        loss_sum += train_step(state, classifier, images, class_indices)
        if (iteration + 1) % ITERATIONS_BETWEEN_LOOKS == 0 or iteration + 1 == plan.iterations:
            mean_loss = _look_at(loss_sum, iteration, plan.epoch)
            shown["loss"] = f"{mean_loss:.3f}"
        progress.advance(1, **shown)
    seconds = time.perf_counter() - began
    return EpochFigures(mean_loss, plan.num_samples / seconds, timer.seconds / seconds)


def _look_at(loss_sum: Tensor, iteration: int, epoch: int) -> float:
    """Return the mean loss so far."""
    mean_loss = float(loss_sum) / (iteration + 1)
    if not math.isfinite(mean_loss):
        raise UserError(
            f"the loss is {mean_loss} by iteration {iteration + 1} of epoch {epoch + 1}: lower --lr or "
            "--classifiers-lr, or train without --use-amp16; training goes on from the checkpoint before"
        )
    return mean_loss
