from pathlib import Path

import pytest
import torch

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe
from evaluation.descriptors.trained_model import TrainedModel, find_model
from tests.evaluation.conftest import BACKBONE, DIM
from training.network.model import GeoLocalizationNet
from training.network.settings import NetworkSettings
from training.network.weights import build_network, save_network


def test_a_training_a_run_or_a_file_is_found(training: Path, tmp_path: Path) -> None:
    model = TrainedModel(training / "model.pth", BACKBONE, DIM)
    for path in (training, training.parent, training / "model.pth", str(training.parent / "current")):
        assert find_model(path) == model
    (tmp_path / "run").mkdir()
    copies = tmp_path / "copied.pth", tmp_path / "run" / "best_model.pth"
    for copy in copies:
        copy.write_bytes((training / "model.pth").read_bytes())
    assert find_model(copies[0]) == TrainedModel(copies[0], BACKBONE, DIM)
    assert find_model(tmp_path / "run") == TrainedModel(copies[1], BACKBONE, DIM)


def test_channels_and_image_size_are_those_of_the_recipe_or_the_file(tmp_path: Path) -> None:
    recipe = Recipe("training", "x", 1, {"backbone": "VGG16", "fc_output_dim": 64, "image_size": "48x64"}, {})
    with publishing(tmp_path, recipe) as staging:
        (staging / "model.pth").write_bytes(b"not read")
    assert find_model(recipe.folder(tmp_path)).image_size == ImageSize(48, 64)
    grey = NetworkSettings(BACKBONE, DIM, backbone_weights="none", grayscale=True)
    save_network(build_network(grey, image_size=ImageSize(32, 40)), tmp_path / "grey.pth")
    file = tmp_path / "grey.pth"
    assert find_model(file) == TrainedModel(file, BACKBONE, DIM, grayscale=True, image_size=ImageSize(32, 40))


@pytest.mark.parametrize("name", ["ResNet18-32", "resnet18_32", "RESNET18_32_cosplace.pth"])
def test_an_official_name_is_the_published_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / "ResNet18_32_cosplace.pth"  # as if downloaded before
    save_network(GeoLocalizationNet("ResNet18", 32), file)
    assert find_model(name) == TrainedModel(file, "ResNet18", 32)


def test_other_words_are_errors(training: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^.*none\.pth: no such file or folder, and no official model\. Give"):
        find_model(tmp_path / "none.pth")
    with pytest.raises(UserError, match=r"no official weights of EfficientNet_B0 .* Published values"):
        find_model("efficientnet_b0-512")
    with pytest.raises(UserError, match=r"no model in this folder.*Give the folder of a training"):
        find_model(training.parents[1])
    torch.save({"layer.weight": torch.zeros(2, 2)}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights\.pth seems to contain .* Give a file of a CosPlace network"):
        find_model(tmp_path / "weights.pth")
