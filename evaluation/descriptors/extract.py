"""Descriptors of images by a network, in the order of the images, whatever their sizes, the batches and the workers.

Images that share a shape go through the network together, so a test set of mixed sizes needs neither resizing nor
batches of one.
"""

import itertools
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from data_manifest.errors import UserError
from data_manifest.progress import Progress
from evaluation.descriptors.batches import Batch, batches_of_one_shape, load_batches
from evaluation.descriptors.fuse_conv_bn import ready_to_describe
from evaluation.descriptors.images import ImageFiles
from evaluation.settings import BF16, FP32
from training.network.preprocessing import preprocessing_of

Descriptors = npt.NDArray[np.float32]
CHUNK_IMAGES = 4096  # some seconds on a GPU, a minute on a CPU
# A CPU is fastest while the feature maps of a pass stay near its cache: 2 images of 640 x 480 in fp32, 4 in bf16.
CPU_BYTES_A_CHANNEL = 2_500_000


@dataclass(frozen=True)
class Extraction:
    """How images are described.

    Args:
        batch_size: Images at a time, at most. Never changes the result, but for rounding.
        device: Where the network runs.
        num_workers: Processes that load images; 0 loads them in this one.
        precision: fp32, or bf16: the network then computes in 16 bits where that is safe.
    """

    batch_size: int
    device: torch.device
    num_workers: int = 0
    precision: str = FP32


def extract_descriptors(
    network: nn.Module, images: ImageFiles, how: Extraction, progress: Progress | None = None
) -> Descriptors:
    """Return the descriptors [num_images, dim], float32, in the order of the images.

    Random states are left alone, so that validating during training does not change the training.

    Raises:
        UserError: There are no images, one cannot be opened, a descriptor is not finite, or memory is short.
    """
    return np.concatenate(list(describe_in_chunks(network, images, how, progress)))


def describe_in_chunks(
    network: nn.Module,
    images: ImageFiles,
    how: Extraction,
    progress: Progress | None = None,
    first_row: int = 0,
    chunk_images: int = CHUNK_IMAGES,
) -> Generator[Descriptors, None, None]:
    """Give the descriptors from a row on, chunk by chunk, in the order of the images.

    The network is moved to the device and runs in evaluation mode, its batch norms folded into its convolutions;
    afterwards each of its modules is in the mode it was found in.

    Args:
        network: Takes images as its preprocessing makes them, [b, channels, h, w], float32, and returns [b, dim].
        images: What to describe.
        how: Batches, device and precision.
        progress: Advanced by each batch's images.
        first_row: The image to begin with.
        chunk_images: Images in a chunk, about: it holds whole batches.

    Raises:
        UserError: There are no images, one cannot be opened, a descriptor is not finite, or memory is short.
    """
    if not len(images):
        raise UserError(f"there are no images to describe: the list for {images.images_folder} is empty")
    pin = how.device.type == "cuda"
    loaded = load_batches(images, how.batch_size, how.num_workers, pin, first_row)
    batches_in_a_chunk = max(1, chunk_images // how.batch_size)
    with _evaluation_mode(network), closing(loaded):
        ready = ready_to_describe(network, how.device)
        start = first_row
        while start < len(images):
            chunk = itertools.islice(loaded, batches_in_a_chunk)
            size = min(batches_in_a_chunk * how.batch_size, len(images) - start)
            yield _describe_chunk(ready, chunk, range(start, start + size), images, how, progress)
            start += size


def _describe_chunk(
    network: nn.Module,
    loaded: Iterator[Batch],
    chunk: range,
    images: ImageFiles,
    how: Extraction,
    progress: Progress | None,
) -> Descriptors:
    descriptors: Descriptors | None = None
    for rows, pixels in batches_of_one_shape(loaded, how.batch_size):
        passes = torch.split(pixels, _images_a_pass(pixels, how))
        values = np.concatenate(
            [describe_batch(network, each.to(how.device, non_blocking=True), how) for each in passes]
        )
        if descriptors is None:
            descriptors = np.empty((len(chunk), values.shape[1]), dtype=np.float32)
        descriptors[rows.numpy() - chunk.start] = values
        _check_finite(values, rows, images)
        if progress is not None:
            progress.advance(len(rows))
    assert descriptors is not None  # a chunk has at least one image
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


def _images_a_pass(pixels: Tensor, how: Extraction) -> int:
    if how.device.type != "cpu":
        return len(pixels)
    bytes_a_channel = pixels.shape[2] * pixels.shape[3] * (2 if how.precision == BF16 else 4)
    return max(1, CPU_BYTES_A_CHANNEL // bytes_a_channel)


@torch.inference_mode()
def describe_batch(network: nn.Module, pixels: Tensor, how: Extraction) -> Descriptors:
    """Return the descriptors [b, dim] of images [b, channels, h, w] of uint8 on the device of the network.

    Raises:
        UserError: Its memory is too small.
    """
    try:
        inputs = preprocessing_of(network).normalise(pixels).contiguous(memory_format=torch.channels_last)
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=how.precision == BF16):
            outputs: Tensor = network(inputs)
        values: Descriptors = outputs.float().cpu().numpy()
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
