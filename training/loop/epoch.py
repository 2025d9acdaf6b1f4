"""The iterations of one epoch on one group."""

import time
from collections.abc import Iterator

import torch

from training.classifier.group_classifier import GroupClassifier
from training.data.dataset import GroupDataset
from training.data.loading import read_batches
from training.data.reads.lookahead.gate import Gate
from training.data.skipped import SkippedLog
from training.distributed.processes import all_reduce_mean, broadcast_buffers, rank
from training.loop.schedule import learning_rates, set_learning_rate
from training.loop.state import TrainingState
from training.loop.step import TrainStep
from training.settings import RuntimeSettings, TrainingSettings


def train_iterations(
    state: TrainingState,
    classifier: GroupClassifier,
    dataset: GroupDataset,
    device: torch.device,
    training: TrainingSettings,
    runtime: RuntimeSettings,
    skipped: SkippedLog,
    gate: Gate | None = None,
) -> Iterator[None]:
    """Train the network and a group's classifier, both on the device, for the rest of an epoch.

    Batches are read when the gate lets them through.

    Yields after each iteration; `state` is consistent then, and can be saved.

    Raises:
        UserError: A class has no readable image, too many images are unreadable, or the GPU's memory is too small.
    """
    plan, epoch = dataset.plan, state.epoch_state
    if epoch.iterations == plan.iterations:
        return
    began = time.perf_counter() - epoch.seconds
    epoch.loss_sum = epoch.loss_sum.to(device)
    state.network.train()
    step = TrainStep(state, classifier, training.used_precision, runtime.compile)
    for images, class_indices, waited in read_batches(dataset, runtime, device, skipped, epoch.iterations, gate):
        # Stochastic depth and dropout draw from the global random state.
        torch.manual_seed(plan.step_seed(epoch.iterations, rank()))
        lr, classifiers_lr = learning_rates(training, plan, epoch.iterations)
        set_learning_rate(state.optimizer, lr)
        set_learning_rate(classifier.optimizer, classifiers_lr)
        epoch.loss_sum += all_reduce_mean(step(images, class_indices))
        epoch.iterations += 1
        epoch.seconds, epoch.wait_seconds = time.perf_counter() - began, epoch.wait_seconds + waited
        yield
    broadcast_buffers(state.network)
