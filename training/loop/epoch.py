"""The iterations of one epoch of training on one group."""

import time
from collections.abc import Iterator

import torch

from training.cosface import GroupClassifier
from training.data.dataset import GroupDataset
from training.data.loading import WaitTimer, read_batches
from training.data.skipped import SkippedLog
from training.distributed.processes import all_reduce_mean, averaging_gradient, broadcast_buffers, rank
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
) -> Iterator[None]:
    """Train the network and a group's classifier, both on the device, for what remains of an epoch.

    Each iteration is one step of the iterator, and `state` is whole between two: it can be saved, and gone on with.

    Raises:
        UserError: A class has no image that can be read, too many images cannot, or the GPU's memory is too small.
    """
    plan, part, timer = dataset.plan, state.part, WaitTimer()
    if part.iterations == plan.iterations:
        return
    began, timer.seconds = time.perf_counter() - part.seconds, part.wait_seconds
    part.loss_sum = part.loss_sum.to(device)
    state.network.train()
    step = TrainStep(state, classifier, training.used_precision, runtime.compile)
    with averaging_gradient(classifier.classifier.weight):
        for images, class_indices in read_batches(dataset, runtime, device, skipped, part.iterations, timer):
            # Stochastic depth and dropout draw from the global state.
            torch.manual_seed(plan.step_seed(part.iterations, rank()))
            lr, classifiers_lr = learning_rates(training, plan, part.iterations)
            set_learning_rate(state.optimizer, lr)
            set_learning_rate(classifier.optimizer, classifiers_lr)
            part.loss_sum += all_reduce_mean(step(images, class_indices))
            part.iterations += 1
            part.seconds, part.wait_seconds = time.perf_counter() - began, timer.seconds
            yield
    broadcast_buffers(state.network)
