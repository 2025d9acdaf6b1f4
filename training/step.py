"""One step of training: a batch through the network and the classifier, and both optimizers once."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from data_manifest.errors import UserError
from training.cosface import GroupClassifier
from training.network import normalise
from training.state import TrainingState


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
            descriptors = state.forward(inputs)
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
