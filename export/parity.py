"""Compare an ONNX file with the network that it was written from, on photos."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data_manifest.errors import UserError
from data_manifest.images.image_size import PUBLISHED_IMAGE_SIZE
from data_manifest.images.images_folder import ImagesFolder
from evaluation.descriptors.extract import embed
from evaluation.descriptors.fuse_conv_bn import fuse_conv_bn
from evaluation.descriptors.image_dataset import to_tensor
from evaluation.descriptors.open_image import open_image, resize
from evaluation.localization.find_photos import find_photos
from evaluation.settings import FP32
from export.onnx_file import INPUT
from training.network.model import GeoLocalizationNet

MAX_DIFFERENCE = 1e-4  # between two components of a descriptor of unit length
MAX_PHOTOS = 8


@dataclass(frozen=True)
class Parity:
    """The largest difference between two descriptors' components, and how fast onnxruntime is."""

    difference: float
    num_photos: int
    speedup: float  # time of torch / time of onnxruntime

    def __str__(self) -> str:
        return (
            f"largest difference from torch {self.difference:.1e} on {self.num_photos} photos, onnxruntime "
            f"{self.speedup:.2f} times as fast as torch on this CPU"
        )


def check_parity(network: GeoLocalizationNet, file: Path, photos: ImagesFolder, input_type: str) -> Parity:
    """Compare an ONNX file with its network on up to 8 photos of a folder, in several sizes and numbers.

    Raises:
        UserError: The folder has no photo, or the descriptors differ by more than `MAX_DIFFERENCE`.
    """
    session, cpu = open_session(file), torch.device("cpu")
    fused, batches = (
        fuse_conv_bn(network, cpu),
        photos_in_sizes(network, find_photos([photos], MAX_PHOTOS)),
    )
    for _ in range(2):  # the first round warms up
        differences, seconds = list[float](), np.zeros(2)
        for images in batches:
            began = time.perf_counter()
            expected = embed(fused, images, cpu, FP32)
            between = time.perf_counter()
            found: Any = session.run(None, {INPUT: images.numpy().astype(input_type)})[0]
            seconds += between - began, time.perf_counter() - between
            differences.append(float(np.abs(found - expected).max()))
    largest = max(differences)
    if not largest <= MAX_DIFFERENCE:  # also if it is not a number
        raise UserError(
            f"The ONNX model differs from torch by {largest:.1e} on {photos}, more than {MAX_DIFFERENCE:.0e}: no file "
            "was written. Export to safetensors, or try another version of torch or onnxruntime."
        )
    return Parity(largest, sum(len(each) for each in batches), float(seconds[0] / seconds[1]))


def open_session(file: Path) -> Any:
    """Return an ONNX file to run on the CPU, with torch's number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def photos_in_sizes(network: GeoLocalizationNet, photos: Sequence[ImagesFolder]) -> list[Tensor]:
    """Return photos at the size of the training images, every second one at half of it, the first one also flipped."""
    preprocessing = network.preprocessing
    side = (preprocessing.image_size or PUBLISHED_IMAGE_SIZE).shorter_side
    batches = []
    for number, path in enumerate(photos):
        image = open_image(path, preprocessing.mode, min_side=side)
        pixels = to_tensor(resize(image, max(32, side // (1 + number % 2)), preprocessing.interpolation))
        batches.append(torch.stack([pixels, pixels.flip(-1)] if number == 0 else [pixels]))
    return batches
