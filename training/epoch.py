"""The iterations of one epoch of training on one group."""

import time
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from data_manifest.errors import UserError
from training.cosface import GroupClassifier
from training.dataset import GroupDataset
from training.loading import WaitTimer, read_batches
from training.network import normalise
from training.schedule import learning_rates, set_learning_rate
from training.settings import RuntimeSettings, TrainingSettings
from training.state import TrainingState


def train_iterations(
    state: TrainingState,
    classifier: GroupClassifier,
    dataset: GroupDataset,
    device: torch.device,
    training: TrainingSettings,
    runtime: RuntimeSettings,
) -> Iterator[None]:
    """Train the network and a group's classifier, both on the device, for what remains of an epoch.

    Each iteration is one step of the iterator, and `state` is whole between two: it can be saved, and gone on with.

    Raises:
        UserError: An image cannot be read, or the GPU's memory is too small.
    """
    plan, part, timer = dataset.plan, state.part, WaitTimer()
    if part.iterations == plan.iterations:
        return
    began, timer.seconds = time.perf_counter() - part.seconds, part.wait_seconds
    part.loss_sum = part.loss_sum.to(device)
    state.network.train()
    for images, class_indices in timer.watch(read_batches(dataset, runtime, device, part.iterations)):
        torch.manual_seed(plan.step_seed(part.iterations))  # stochastic depth and dropout draw from the global state
        lr, classifiers_lr = learning_rates(training, plan, part.iterations)
        set_learning_rate(state.optimizer, lr)
        set_learning_rate(classifier.optimizer, classifiers_lr)
        images, class_indices = (each.to(device, non_blocking=True) for each in (images, class_indices))
        part.loss_sum += train_step(state, classifier, images, class_indices)
        part.iterations += 1
        part.seconds, part.wait_seconds = time.perf_counter() - began, timer.seconds
        yield


def train_step(state: TrainingState, classifier: GroupClassifier, images: Tensor, class_indices: Tensor) -> Tensor:
    """Take one step of both optimizers; return the loss, still on the device.

    Args:
        state: Network, its optimizer, and the scaler, which is on where 16-bit floating point is.
        classifier: The group's.
        images: [b, 3, h, w], uint8.
        class_indices: [b], int64.
    """
    inputs = normalise(images).contiguous(memory_format=torch.channels_last)
    try:
        with torch.autocast(images.device.type, torch.float16, enabled=state.scaler.is_enabled()):
            descriptors = state.network(inputs)
        # Outside autocast: 16 bits hold a logit of 30 to no better than 0.02, and the classifier is cheap.
        loss = cross_entropy(classifier.classifier(descriptors, class_indices), class_indices)
        _step(state.scaler, loss, state.optimizer, classifier.optimizer)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"the memory of {images.device} is too small for a batch of {list(images.shape)}: lower --batch-size or "
            "--image-size, or give --use-amp16"
        ) from error
    return loss.detach()


def _step(scaler: torch.amp.GradScaler, loss: Tensor, *optimizers: torch.optim.Optimizer) -> None:
    for optimizer in optimizers:
        optimizer.zero_grad()
    torch.autograd.backward(scaler.scale(loss))
    for optimizer in optimizers:
        scaler.step(optimizer)
    scaler.update()
