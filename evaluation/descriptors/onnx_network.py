"""An exported ONNX model as a network, run by onnxruntime, which is imported late: it is optional."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data_manifest.errors import UserError
from training.network.preprocessing import Preprocessing

INSTALL = "pip install 'cosplace-pipeline[export]'"


class OnnxNetwork(nn.Module):
    """Maps images, from 0 to 255, to descriptors: the normalisation is inside the file.

    `stated` is the description in the file's metadata: `name`, `fc_output_dim`, and its training's `preprocessing`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(f"{path}: the package onnxruntime is not installed: {INSTALL}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session = onnxruntime.InferenceSession(path, options, onnxruntime.get_available_providers())
        except Exception as error:  # onnxruntime's errors have no common base
            raise UserError(f"{path} is not an ONNX file that onnxruntime can run: {error}") from error
        self.path, self.stated = path, self._session.get_modelmeta().custom_metadata_map
        if not self.stated.keys() >= {"name", "fc_output_dim", "preprocessing"}:
            raise UserError(f"{path} was not written by `cosplace export`: its metadata name no network.")
        (self._input,) = self._session.get_inputs()

    @cached_property
    def trained_with(self) -> Preprocessing:
        """The preprocessing of the training images."""
        stated: Mapping[str, Any] = json.loads(self.stated["preprocessing"])
        return Preprocessing.from_stated(stated)

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing that leaves values from 0 to 255 as they are."""
        channels, interpolation = self.trained_with.channels, self.trained_with.interpolation
        return Preprocessing((0.0,) * channels, (1 / 255,) * channels, self.trained_with.image_size, interpolation)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [b, channels, h, w], float32, from 0 to 255, to descriptors [b, fc_output_dim] on the CPU.

        Raises:
            UserError: Another precision than that of the file is requested.
        """
        if torch.is_autocast_enabled(images.device.type):
            raise UserError(f"infer_precision = bf16: {self.path} has its own precision. Leave it out.")
        pixels = images.cpu().contiguous().numpy()
        if self._input.type == "tensor(uint8)":
            pixels = np.rint(pixels).astype(np.uint8)
        (descriptors,) = self._session.run(None, {self._input.name: pixels})
        return torch.from_numpy(descriptors)
