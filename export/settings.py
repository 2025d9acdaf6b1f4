"""Settings of an export. Imports no torch."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.settings import Settings, setting
from training.network.settings import require

ONNX, SAFETENSORS, TORCH, HF = FORMATS = ("onnx", "safetensors", "torch", "hf")
UINT8, FLOAT32 = "uint8", "float32"
FP32, FP16, INT8 = PRECISIONS = ("fp32", "fp16", "int8")
PACKAGES = {ONNX: ("onnxscript", "onnxruntime"), SAFETENSORS: ("safetensors",), HF: ("safetensors", "huggingface_hub")}
INSTALL = "pip install 'cosplace-pipeline[export]'"


@dataclass(frozen=True)
class ExportSettings(Settings):
    """The model to export, and the file to write."""

    title = "Export"

    model: str | None = setting(
        None, "folder of a training (artifacts/training/<data set>), weights file, or official name: ResNet50-512"
    )
    format: str = setting(
        ONNX,
        "file to write: onnx, safetensors, torch (model.pth), or hf (a folder for `hf upload`)",
        choices=FORMATS,
    )
    onnx_input: str = setting(
        UINT8, "type of the ONNX model's images, with values from 0 to 255", choices=(UINT8, FLOAT32)
    )
    onnx_precision: str = setting(
        FP32,
        "precision of the ONNX model: fp16 halves the file, int8 reduces it to a quarter or a third; the recall lost "
        "is measured",
        choices=PRECISIONS,
    )
    check_photos: ImagesFolder | None = setting(
        None, "folder or URL of photos that an ONNX model is compared with torch on; none: the model's training images"
    )
    evaluation: Path | None = setting(
        None, "evaluation of the model to measure the recall lost by fp16 or int8 on; none: its newest in fp32"
    )

    def check(self) -> None:
        """Raise UserError if no model is given, or a package is missing."""
        if self.model is None:
            raise UserError("No model given. Pass --model.")
        reduced = self.onnx_precision != FP32
        for name, of_onnx in (
            ("onnx_precision", reduced),
            ("onnx_input", self.onnx_input != UINT8),
            ("check_photos", self.check_photos is not None),
        ):
            require(
                not of_onnx or self.format == ONNX, self, name, f"no effect with format = {self.format}; leave it out"
            )
        require(reduced or self.evaluation is None, self, "evaluation", "only --onnx-precision fp16 or int8 uses it")
        for package in PACKAGES.get(self.format, ()):
            found = importlib.util.find_spec(package) is not None
            require(found, self, "format", f"the package {package} is not installed: {INSTALL}")
