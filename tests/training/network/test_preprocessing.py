"""The preprocessing that a model file states, and its use."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from PIL import Image

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from training.network.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, preprocessing_of
from training.network.settings import NetworkSettings
from training.network.weights import build_network, identify_model, load_model, load_network, save_network


def _settings(**more: Any) -> NetworkSettings:
    return NetworkSettings(**{"backbone": "SqueezeNet1_1", "fc_output_dim": 8, "backbone_weights": "none", **more})


@pytest.fixture
def grey_model(tmp_path: Path) -> Path:
    """Return the file of a network for grayscale images of 48 rows and 64 columns."""
    path = tmp_path / "model.pth"
    save_network(build_network(_settings(grayscale=True), image_size=ImageSize(48, 64)), path)
    return path


def test_model_file_states_preprocessing_and_contains_only_tensors(grey_model: Path) -> None:
    state = torch.load(grey_model, weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    stated = state._metadata[""]["cosplace"]
    assert (stated["backbone"], stated["fc_output_dim"]) == ("SqueezeNet1_1", 8)
    assert stated["preprocessing"]["image_size"] == (48, 64), "rows, columns"
    assert stated["preprocessing"]["mean"] == pytest.approx([(0.485 + 0.456 + 0.406) / 3])
    assert stated["preprocessing"]["std"] == pytest.approx([(0.229 + 0.224 + 0.225) / 3])


def test_loaded_network_has_the_stated_preprocessing(grey_model: Path) -> None:
    for network in (
        load_network(grey_model, "SqueezeNet1_1", 8),
        load_model(grey_model),
        load_model(grey_model.parent),
    ):
        assert network.preprocessing == dataclasses.replace(
            Preprocessing().of_channels(1), image_size=ImageSize(48, 64)
        )
        assert not network.training
    assert identify_model(grey_model)[1] == ImageSize(48, 64)


def test_channels_without_a_statement_follow_the_shapes(grey_model: Path) -> None:
    torch.save(dict(torch.load(grey_model, weights_only=True)), grey_model)
    assert identify_model(grey_model)[1] is None
    for network in (load_network(grey_model, "SqueezeNet1_1", 8), load_model(grey_model)):
        assert network.preprocessing == Preprocessing().of_channels(1)
        assert (network.name, network.fc_output_dim) == ("SqueezeNet1_1", 8)


UNKNOWN: list[Any] = [
    "RGB",
    {"mean": [0.5]},
    {"mean": [0.5, 0.5], "std": [1, 1], "image_size": None},
    {"mean": [0.5], "std": [0.0], "image_size": None},
    {"mean": [0.5], "std": [1.0], "image_size": [1, 2, 3]},
]


@pytest.mark.parametrize("stated", UNKNOWN)
def test_unknown_preprocessing_is_an_error(grey_model: Path, stated: Any) -> None:
    state = torch.load(grey_model, weights_only=True)
    state._metadata[""]["cosplace"]["preprocessing"] = stated
    torch.save(state, grey_model)
    with pytest.raises(UserError, match=r"model.pth states unknown preprocessing"):
        load_model(grey_model)


def test_normalise_agrees_with_the_formula() -> None:
    images = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    normalised = Preprocessing().normalise(images)
    assert normalised.dtype == torch.float32
    for channel in range(3):
        expected = (images[1, channel, 2, 3].item() / 255 - IMAGENET_MEAN[channel]) / IMAGENET_STD[channel]
        assert normalised[1, channel, 2, 3].item() == pytest.approx(expected, abs=1e-6)


def test_normalise_uses_the_given_statistics() -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    normalised = Preprocessing((0.2,), (0.4,)).normalise(images)
    torch.testing.assert_close(normalised.flatten(), torch.tensor([-0.5, 0.0, 2.0]))


def test_module_without_preprocessing_gets_imagenets() -> None:
    assert preprocessing_of(torch.nn.Identity()) == Preprocessing() == Preprocessing().of_channels(3)


def test_pillow_image_becomes_an_input() -> None:
    image = Image.new("RGB", (30, 20), (255, 0, 0))
    colour, grey = (Preprocessing().of_channels(channels)(image) for channels in (3, 1))
    assert (colour.shape, grey.shape) == ((1, 3, 20, 30), (1, 1, 20, 30))
    assert colour[0, :, 5, 7].tolist() == pytest.approx([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    assert grey[0, 0, 5, 7].item() == pytest.approx((76 / 255 - 0.449) / 0.226), "76: red's share of brightness, 0.299"


@pytest.mark.parametrize("backbone", ["SqueezeNet1_1", "ResNet18", "EfficientNet_B0", "ConvNeXt_Tiny"])
def test_grayscale_network_equals_colour_network_on_grey_images(tmp_path: Path, backbone: str) -> None:
    colours = build_network(_settings(backbone=backbone), seed=3).eval()
    save_network(colours, tmp_path / "model.pth")
    grey = build_network(_settings(backbone=backbone, grayscale=True, resume_model=tmp_path / "model.pth")).eval()
    images = torch.randn(2, 1, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(grey(images), colours(images.expand(2, 3, 64, 48)), atol=1e-5, rtol=1e-4)


def test_colour_weights_are_summed_for_grayscale(tmp_path: Path) -> None:
    model = torchvision.models.squeezenet1_1()
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    network = build_network(_settings(grayscale=True, backbone_weights=str(tmp_path / "weights.pth")))
    red, green, blue = model.features[0].weight.unbind(dim=1)
    torch.testing.assert_close(network.state_dict()["backbone.0.weight"][:, 0], red + green + blue)


def test_grayscale_model_resumes_only_with_grayscale(grey_model: Path) -> None:
    network = build_network(_settings(grayscale=True, resume_model=grey_model), image_size=ImageSize(48, 64))
    assert torch.equal(
        network.state_dict()["backbone.0.weight"], load_model(grey_model).state_dict()["backbone.0.weight"]
    )
    with pytest.raises(UserError, match=r"SqueezeNet1_1 with fc_output_dim 8 for grayscale im.*--grayscale"):
        build_network(_settings(resume_model=grey_model))


def test_other_image_size_is_a_warning(grey_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = _settings(grayscale=True, resume_model=grey_model)
    build_network(settings, image_size=ImageSize(48, 64))
    assert not caplog.records
    network = build_network(settings, image_size=ImageSize(64, 48))
    assert "was trained at image size 48x64; this run uses 64x48" in caplog.text
    assert network.preprocessing.image_size == ImageSize(64, 48)
