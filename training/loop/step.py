"""One step of training: a batch through the network and the classifier, and both optimizers once."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from data_manifest.errors import UserError
from training.cosface import GroupClassifier
from training.loop.state import TrainingState
from training.settings import BF16, FP16, FP32

DTYPES = {FP32: torch.float32, BF16: torch.bfloat16, FP16: torch.float16}


class TrainStep:
    """Takes steps of a network and a group's classifier, both on the device.

    Args:
        state: Network, its optimizer, and the scaler, which is on in fp16.
        classifier: The group's.
        precision: What the network computes in: fp32, bf16 or fp16.
        compiled: Have torch compile the network.
    """

    def __init__(self, state: TrainingState, classifier: GroupClassifier, precision: str, compiled: bool) -> None:
        self.scaler, self.optimizers = state.scaler, (state.optimizer, classifier.optimizer)
        self.classifier, self.dtype = classifier.classifier, DTYPES[precision]
        self.preprocessing = state.network.preprocessing
        self.network: Callable[[Tensor], Tensor] = compile_once(state.forward) if compiled else state.forward

    def __call__(self, images: Tensor, class_indices: Tensor) -> Tensor:
        """Take one step of both optimizers; return the loss, still on the device.

        Args:
            images: [b, c, h, w], from 0 to 255.
            class_indices: [b], int64.

        Raises:
            UserError: The GPU's memory is too small.
        """
        inputs = self.preprocessing.normalise(images).contiguous(memory_format=torch.channels_last)
        try:
            with torch.autocast(images.device.type, self.dtype, enabled=self.dtype != torch.float32):
                descriptors = self.network(inputs)
            # Outside autocast: 16 bits hold a logit of 30 to no better than 0.02, and the classifier is cheap.
            loss = cross_entropy(self.classifier(descriptors, class_indices), class_indices)
            self._step(loss)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"the memory of {images.device} is too small for a batch of {list(images.shape)}: lower --batch-size "
                "or --image-size, or give --precision bf16 or fp16"
            ) from error
        return loss.detach()

    def _step(self, loss: Tensor) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        torch.autograd.backward(self.scaler.scale(loss))
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()


@functools.lru_cache(maxsize=1)  # once a run: each epoch takes steps of the same network
def compile_once(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a network that is compiled when it is called first, with the weights of the one given.

    Calling it raises a UserError where torch cannot compile it.
    """
    from torch._dynamo.exc import BackendCompilerFailed  # a second or two that only this way of training has to wait

    compiled: Callable[[Tensor], Tensor] = torch.compile(network)

    def call(inputs: Tensor) -> Tensor:
        try:
            return compiled(inputs)
        except BackendCompilerFailed as error:
            reason = str(error.inner_exception).strip().partition("\n")[0]
            raise UserError(
                f"compile = True: torch cannot compile the network on {inputs.device}: {reason}; install what it asks "
                "for (on a CPU a C++ compiler, as g++), or leave out --compile"
            ) from error

    return call
