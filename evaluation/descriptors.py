"""Descriptors of images by a network, in the order of the images, whatever their sizes, the batches and the workers.

Images of one batch that share a shape go through the network together, so a test set of mixed sizes needs neither
resizing nor batches of one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from data_manifest.errors import UserError
from data_manifest.progress import Progress
from evaluation.batches import load_batches
from evaluation.images import ImageFiles
from training.network import preprocessing_of

Descriptors = npt.NDArray[np.float32]


def extract_descriptors(
    network: nn.Module,
    images: ImageFiles,
    *,
    batch_size: int,
    device: torch.device,
    num_workers: int = 0,
    progress: Progress | None = None,
) -> Descriptors:
    """Return the descriptors [num_images, dim], float32, in the order of the images.

    The network is moved to the device and runs in evaluation mode; afterwards each of its modules is in the mode it
    was found in. Random states are left alone, so that validating during training does not change the training.

    Args:
        network: Takes images as its preprocessing makes them, [b, channels, h, w], float32, and returns [b, dim].
        images: What to describe.
        batch_size: Images loaded at a time. Never changes the result, but for rounding.
        device: Where the network runs.
        num_workers: Processes that load images; 0 loads them in this one.
        progress: Advanced by each batch's images.

    Raises:
        UserError: There are no images, one cannot be opened, a descriptor is not finite, or memory is short.
    """
    if not len(images):
        raise UserError(f"there are no images to describe: the list for {images.images_folder} is empty")
    descriptors: Descriptors | None = None
    with _evaluation_mode(network.to(device)), torch.inference_mode():
        for batch in load_batches(images, batch_size, num_workers, pin_memory=device.type == "cuda"):
            for rows, pixels in batch:
                values = _forward(network, pixels.to(device, non_blocking=True))
                if descriptors is None:
                    descriptors = np.empty((len(images), values.shape[1]), dtype=np.float32)
                descriptors[rows.numpy()] = values
                _check_finite(values, rows, images)
                if progress is not None:
                    progress.advance(len(rows))
    assert descriptors is not None  # there is at least one image, and so one batch
    return descriptors


@contextmanager
def _evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Module by module, because a frozen part may be in another mode than the whole."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _forward(network: nn.Module, pixels: Tensor) -> Descriptors:
    try:
        values: Descriptors = network(preprocessing_of(network).normalise(pixels)).float().cpu().numpy()
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"the device's memory is too small for {len(pixels)} images of {pixels.shape[3]} x {pixels.shape[2]} "
            "pixels at a time: lower infer_batch_size, or set resize_test_imgs with a smaller image_size"
        ) from error
    return values


def _check_finite(values: Descriptors, rows: Tensor, images: ImageFiles) -> None:
    """The search would answer a descriptor of NaN with matches that mean nothing."""
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        path = images.path(int(rows[int(finite.argmin())]))
        raise UserError(
            f"the network's descriptor of {path} is not finite: has its training diverged (a lower lr helps), "
            "or is its file of weights broken?"
        )
