"""Extract descriptors with a network, in the order of the images.

Images that share a shape go through the network together, so a test set of mixed sizes needs neither resizing nor
batches of one.
"""

import itertools
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from data_manifest.errors import UserError
from evaluation.descriptors.batches import batches_of, batches_of_one_shape, load_batches
from evaluation.descriptors.fuse_conv_bn import fuse_conv_bn
from evaluation.descriptors.image_dataset import ImageDataset
from evaluation.settings import BF16, Extraction
from training.network.device import resolve_device
from training.network.preprocessing import preprocessing_of

Descriptors = npt.NDArray[np.float32]
CHUNK_IMAGES = 4096  # some seconds on a GPU, a minute on a CPU
# A CPU is fastest while feature maps stay near its cache: 2 images of 640 x 480 in fp32, 4 in bf16.
MAX_CPU_BYTES_PER_CHANNEL = 2_500_000


class Counter(Protocol):
    """Counts images, as `Progress` does."""

    def advance(self, units: int, /) -> None:
        """Count images as done."""


def extract_descriptors(
    network: nn.Module, images: ImageDataset, extraction: Extraction, progress: Counter | None = None
) -> Descriptors:
    """Return the descriptors [num_images, dim], float32, as `extract_chunks` does."""
    return np.concatenate(list(extract_chunks(network, images, extraction, progress)))


def extract_chunks(
    network: nn.Module,
    images: ImageDataset,
    extraction: Extraction,
    progress: Counter | None = None,
    chunks: Sequence[range] | None = None,
) -> Generator[Descriptors, None, None]:
    """Yield the descriptors of each chunk. They do not depend on the other chunks: no batch has images of two.

    The network is moved to the device and runs in evaluation mode with fused batch norms; then the modes of its modules
    are restored. Leaves the global random state alone.

    Args:
        network: Maps images, normalised by its preprocessing, [b, channels, h, w], float32, to [b, dim].
        images: The images; `extraction.resized_to` has no effect on them.
        extraction: Batch size, device, workers and precision.
        progress: Advanced by each batch's images.
        chunks: The rows of each chunk; all images by default.

    Raises:
        UserError: There are no images, one cannot be opened, a descriptor is not finite, or memory is too small.
    """
    if not len(images):
        raise UserError(f"{images.images_folder}: no images to embed. Check the list of images")
    device, batch_size = resolve_device(extraction.device), extraction.batch_size
    if chunks is None:
        chunks = chunks_of(range(len(images)), CHUNK_IMAGES, batch_size)
    batches = [batches_of(chunk, batch_size) for chunk in chunks]
    all_batches = list(itertools.chain.from_iterable(batches))
    loaded = load_batches(images, batch_size, extraction.num_workers, device.type == "cuda", all_batches)
    with _evaluation_mode(network), closing(loaded):
        fused = fuse_conv_bn(network, device)
        for chunk, own_batches in zip(chunks, batches, strict=True):
            found = np.empty((len(chunk), 0), np.float32)
            for rows, pixels in batches_of_one_shape(itertools.islice(loaded, len(own_batches)), batch_size):
                descriptors = embed(fused, pixels, device, extraction.precision)
                _check_finite(descriptors, rows, images)
                if not found.size:
                    found = np.empty((len(chunk), descriptors.shape[1]), np.float32)
                found[rows.numpy() - chunk.start] = descriptors
                if progress is not None:
                    progress.advance(len(rows))
            yield found


def chunks_of(rows: range, chunk_images: int, batch_size: int) -> list[range]:
    """Return rows in chunks of whole batches, with borders that do not depend on the first row."""
    size = max(1, chunk_images // batch_size) * batch_size
    starts = range(rows.start - rows.start % size, rows.stop, size)
    return [range(max(start, rows.start), min(start + size, rows.stop)) for start in starts]


@contextmanager
def _evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Switch to evaluation mode, then restore the mode of each module: frozen ones have their own."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@torch.inference_mode()
def embed(network: nn.Module, pixels: Tensor, device: torch.device, precision: str) -> Descriptors:
    """Return the descriptors [b, dim] of images [b, channels, h, w], uint8, by a network on a device.

    Raises:
        UserError: The device's memory is too small.
    """
    bytes_per_channel = pixels.shape[2] * pixels.shape[3] * (2 if precision == BF16 else 4)
    per_pass = max(1, MAX_CPU_BYTES_PER_CHANNEL // bytes_per_channel) if device.type == "cpu" else len(pixels)
    descriptors = []
    try:
        for images in torch.split(pixels, per_pass):
            inputs = preprocessing_of(network).normalise(images.to(device, non_blocking=True))
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == BF16):
                outputs: Tensor = network(inputs.contiguous(memory_format=torch.channels_last))
            descriptors.append(outputs.float().cpu().numpy())
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"The device's memory is too small for {len(pixels)} images of {pixels.shape[3]} x {pixels.shape[2]} "
            "pixels. Lower --infer-batch-size, or give --resize-test-imgs and a smaller --image-size"
        ) from error
    return np.concatenate(descriptors)


def _check_finite(descriptors: Descriptors, rows: Tensor, images: ImageDataset) -> None:
    finite = np.isfinite(descriptors).all(axis=1)
    if not finite.all():
        path = images.path(int(rows[int(finite.argmin())]))
        raise UserError(
            f"{path}: its descriptor is not finite. Train again with a lower --lr, or check the file of weights"
        )
