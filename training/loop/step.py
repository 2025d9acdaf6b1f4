"""One training step: a batch through the network and the classifier, and a step of both optimizers."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from data_manifest.errors import UserError
from training.classifier.group_classifier import GroupClassifier
from training.loop.state import TrainingState
from training.settings import BF16, FP16, FP32

DTYPES = {FP32: torch.float32, BF16: torch.bfloat16, FP16: torch.float16}


class TrainStep:
    """Trains a network and a group's classifier, both on the device, in a precision of the network."""

    def __init__(self, state: TrainingState, classifier: GroupClassifier, precision: str, compiled: bool) -> None:
        self.scaler, self.optimizers = state.scaler, (state.optimizer, classifier.optimizer)
        self.classifier, self.dtype = classifier.classifier, DTYPES[precision]
        self.preprocessing = state.network.preprocessing
        self.network: Callable[[Tensor], Tensor] = compile_once(state.forward) if compiled else state.forward

    def __call__(self, images: Tensor, class_indices: Tensor) -> Tensor:
        """Take one step of both optimizers on images [b, c, h, w], from 0 to 255, and classes [b]; return the loss.

        Raises:
            UserError: The GPU's memory is too small.
        """
        inputs = self.preprocessing.normalise(images).contiguous(memory_format=torch.channels_last)
        try:
            with torch.autocast(images.device.type, self.dtype, enabled=self.dtype != torch.float32):
                descriptors = self.network(inputs)
            # Outside autocast: 16 bits resolve a logit of 30 to only 0.02, and the classifier is cheap.
            loss = self.classifier.loss(descriptors, class_indices)
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            torch.autograd.backward(self.scaler.scale(loss))
            self.classifier.reduce_gradient(self.scaler.is_enabled())
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
            self.scaler.update()
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"A batch of {list(images.shape)} does not fit in the memory of {images.device}. Lower --batch-size or "
                "--image-size, or give --precision bf16 or fp16."
            ) from error
        return loss.detach()


@functools.lru_cache(maxsize=1)  # all epochs of a run train the same network
def compile_once(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a function that compiles the network at its first call, and raises UserError if torch cannot."""
    from torch._dynamo.exc import BackendCompilerFailed  # late: takes a second or two to import

    compiled: Callable[[Tensor], Tensor] = torch.compile(network)

    def call(inputs: Tensor) -> Tensor:
        try:
            return compiled(inputs)
        except BackendCompilerFailed as error:
            reason = str(error.inner_exception).strip().partition("\n")[0]
            raise UserError(
                f"compile = True: torch cannot compile the network on {inputs.device}: {reason}. Install what it needs "
                "(on a CPU a C++ compiler such as g++), or leave out --compile."
            ) from error

    return call
