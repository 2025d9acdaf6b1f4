"""A model whose ONNX export, which takes seconds, is made once."""

from pathlib import Path

import pytest
import torch

from data_manifest.images.image_size import ImageSize
from export.onnx_file import metadata_of, write_onnx
from export.settings import UINT8
from training.network.settings import NetworkSettings
from training.network.weights import build_network, load_model, save_network


def save_model(path: Path, backbone: str = "SqueezeNet1_1", grayscale: bool = False, seed: int = 3) -> None:
    """Save a random network that states an image size of 64x64 pixels."""
    settings = NetworkSettings(backbone, 8, backbone_weights="none", grayscale=grayscale)
    save_network(build_network(settings, seed=seed, image_size=ImageSize(64, 64)), path)


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the model of `save_model` and its ONNX file in fp32."""
    folder = tmp_path_factory.mktemp("full")
    save_model(folder / "model.pth")
    network = load_model(folder)
    write_onnx(network, folder / "model.onnx", UINT8, metadata_of(network, "digest", UINT8, "licence"))
    return folder


@pytest.fixture
def exported_before(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch's exporter return the export in `full`."""
    onnx_ir = pytest.importorskip("onnx_ir")
    monkeypatch.setattr(
        "torch.onnx.export", lambda *_, **__: torch.onnx.ONNXProgram(onnx_ir.load(full / "model.onnx"), None)
    )
