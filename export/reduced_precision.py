"""Rewrite an ONNX file in 16-bit floats or 8-bit integers, and compare it with its network on photos."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.progress import Progress, working
from evaluation.descriptors.extract import embed
from evaluation.localization.find_photos import find_photos
from evaluation.settings import FP32
from export.onnx_file import INPUT
from export.parity import open_session, photos_in_sizes
from export.settings import FP16
from training.network.model import GeoLocalizationNet

MAX_PHOTOS = 32  # that show the range of each layer's values
LAYERS = ["Conv", "Gemm", "MatMul"]  # nearly all of the time and the weights
KEPT_IN_FP32 = ["Clip", "Div", "Pow", "ReduceL2", "ReduceMean", "Sub"]  # GeM and the normalisations over- or underflow
MIN_COSINE = 0.5  # below it, something else than rounding is wrong


@dataclass(frozen=True)
class Similarity:
    """The lowest cosine between the descriptors of a photo in full and in reduced precision."""

    lowest: float
    num_photos: int

    def __str__(self) -> str:
        return f"lowest cosine to the full descriptors {self.lowest:.4f} on {self.num_photos} photos"


def reduce_precision(
    network: GeoLocalizationNet, file: Path, photos: ImagesFolder, input_type: str, precision: str
) -> Similarity:
    """Rewrite the ONNX file of a network in fp16 or int8, and compare it with the network on up to 32 photos.

    int8 has one scale per output channel of the weights, and one per layer for activations, from the photos' values.

    Raises:
        UserError: The folder has no photo, or a descriptor is wrong by more than rounding.
    """
    images = [image.numpy().astype(input_type) for image in photos_in_sizes(network, find_photos([photos], MAX_PHOTOS))]
    with working(f"rewriting the model in {precision}"):
        if precision == FP16:
            _to_fp16(file)
        else:
            _to_int8(file, images)
    session, cosines = open_session(file), list[float]()
    with Progress("comparing with torch", len(images), "photos") as progress:
        for image in images:
            full = embed(network, torch.from_numpy(image).float(), torch.device("cpu"), FP32)
            reduced: Any = session.run(None, {INPUT: image})[0]
            cosines.extend(float(cosine) for cosine in (full * reduced).sum(axis=1))
            progress.advance()
    lowest = min(cosines)
    if not lowest >= MIN_COSINE:  # also if it is not a number
        raise UserError(
            f"In {precision}, a descriptor of {photos} has a cosine of {lowest:.2f} to the full one: no file was "
            "written. Give another --onnx-precision."
        )
    return Similarity(lowest, len(cosines))


def _to_fp16(file: Path) -> None:
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    kept = [*DEFAULT_OP_BLOCK_LIST, *KEPT_IN_FP32]
    onnx.save(convert_float_to_float16(onnx.load(file), keep_io_types=True, op_block_list=kept), file)


def _to_int8(file: Path, images: Sequence[npt.NDArray[Any]]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Photos(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        """The photos, one at a time."""

        def __init__(self) -> None:
            self._images: Iterator[npt.NDArray[Any]] = iter(images)

        def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
            image = next(self._images, None)
            return None if image is None else {INPUT: image}

    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)  # onnxruntime advises a step that this graph does not need, by the root logger
    try:
        quantize_static(file, file, Photos(), per_channel=True, op_types_to_quantize=LAYERS)
    finally:
        root.removeHandler(silent)
