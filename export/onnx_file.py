"""Write a network as ONNX: images of any number and size, from 0 to 255, to descriptors."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data_manifest.errors import UserError
from export.settings import UINT8
from training.network.model import GeoLocalizationNet

OPSET = 18  # has the antialiased Resize; read by onnxruntime 1.14 and later
INPUT, OUTPUT = "images", "descriptors"
SAMPLE_SIZE = (224, 280)  # of the images that the network is traced with: multiples of 14, but not of 16
SYMBOLIC_SHAPES = "torch.fx.experimental.symbolic_shapes"  # warns with tracebacks of solvers that give up


class FromPixels(nn.Module):
    """A network with its normalisation inside."""

    def __init__(self, network: GeoLocalizationNet) -> None:
        super().__init__()
        self.network = network
        mean, std = network.preprocessing.mean, network.preprocessing.std
        self.mean = nn.Buffer(255 * torch.tensor(mean).view(-1, 1, 1))
        self.std = nn.Buffer(255 * torch.tensor(std).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Map images [b, channels, h, w], from 0 to 255, to descriptors [b, fc_output_dim]."""
        descriptors: Tensor = self.network((images.float() - self.mean) / self.std)
        return descriptors


def write_onnx(network: GeoLocalizationNet, path: Path, input_type: str, metadata: Mapping[str, str]) -> None:
    """Write a network in evaluation mode, on the CPU, with dynamic batch, height and width.

    Args:
        network: The network.
        path: The file to write; weights above 2 GB go to a second file beside it.
        input_type: Type of the images: uint8 or float32.
        metadata: Texts that the file's metadata hold.

    Raises:
        UserError: The exporter failed, as that of old versions of torch does.
    """
    preprocessing = network.preprocessing
    images = torch.zeros(2, preprocessing.channels, *SAMPLE_SIZE, dtype=getattr(torch, input_type))
    axes = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    options: dict[str, Any] = {"dynamo": True, "dynamic_shapes": (axes,), "opset_version": OPSET, "verbose": False}
    options |= {"input_names": [INPUT], "output_names": [OUTPUT]}
    with _quiet():
        try:
            program = torch.onnx.export(FromPixels(network).eval(), (images,), **options)
        except Exception as error:  # the exporter's errors have no common base
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"torch {torch.__version__} cannot export {network.name} to ONNX: {reason} Upgrade torch and "
                "onnxscript, or give another --format."
            ) from error
        assert program is not None, "dynamo=True returns a program"
        program.model.metadata_props.update(metadata)
        program.save(path)


def metadata_of(network: GeoLocalizationNet, weights: str, input_type: str, licence: str) -> dict[str, str]:
    """Return the metadata of a file: network, preprocessing, the SHA-256 of its weights and a note on the licence."""
    stated = json.dumps(network.preprocessing.stated())
    unit = "uint8" if input_type == UINT8 else "float32"
    return {
        **{"name": network.name, "fc_output_dim": str(network.fc_output_dim), "preprocessing": stated},
        **{"input": f"{unit} [batch, channels, height, width], 0 to 255; normalised inside"},
        **{"weights_sha256": weights, "licence": licence},
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which prints and warns of its own internals."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx", SYMBOLIC_SHAPES)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
