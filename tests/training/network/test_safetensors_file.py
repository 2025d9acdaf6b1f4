"""Networks in safetensors files, read wherever a model file is."""

import sys
from pathlib import Path

import pytest
import torch

import hubconf
from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from evaluation.descriptors.trained_model import find_model
from tests.helpers import needs_timm
from training.network.model import GeoLocalizationNet
from training.network.safetensors_file import write_safetensors
from training.network.settings import NetworkSettings
from training.network.weights import build_network, load_model

safetensors = pytest.importorskip("safetensors.torch")


def _written(folder: Path, backbone: str = "SqueezeNet1_1", grayscale: bool = False) -> tuple[GeoLocalizationNet, Path]:
    settings = NetworkSettings(backbone, 8, backbone_weights="none", grayscale=grayscale)
    network = build_network(settings, seed=5, image_size=ImageSize(48, 64)).eval()
    write_safetensors(network, folder / "model.safetensors")
    return network, folder / "model.safetensors"


@pytest.mark.parametrize("backbone", ["SqueezeNet1_1", pytest.param("timm/test_vit", marks=needs_timm)])
@pytest.mark.parametrize("grayscale", [False, True])
def test_every_reader_of_models_reads_it(tmp_path: Path, backbone: str, grayscale: bool) -> None:
    network, path = _written(tmp_path, backbone, grayscale)
    settings = NetworkSettings(backbone, 8, grayscale=grayscale, resume_model=path)
    found = find_model(path)
    assert (found.backbone, found.grayscale, found.image_size) == (backbone, grayscale, ImageSize(48, 64))
    for loaded in (load_model(path), hubconf.load_model(str(tmp_path)), found.network, build_network(settings)):
        assert loaded.preprocessing.mean == network.preprocessing.mean
        state = loaded.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert safetensors.load_file(path).keys() == network.state_dict().keys(), "the library reads it too"


def test_backbone_weights_may_be_safetensors(tmp_path: Path) -> None:
    import torchvision

    model = torchvision.models.squeezenet1_1()
    safetensors.save_file(model.state_dict(), tmp_path / "weights.safetensors")
    network = build_network(NetworkSettings("SqueezeNet1_1", 8, backbone_weights=str(tmp_path / "weights.safetensors")))
    assert torch.equal(network.state_dict()["backbone.0.weight"], model.features[0].weight)


def test_damaged_file_is_an_error(tmp_path: Path) -> None:
    _, path = _written(tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"model.safetensors is a damaged safetensors file .*download or copy it again"):
        load_model(path)


def test_missing_package_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, path = _written(tmp_path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(UserError, match=r"safetensors is not installed: pip install 'cosplace-pipeline\[export\]'"):
        load_model(path)
