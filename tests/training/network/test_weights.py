from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision

from data_manifest.errors import UserError
from evaluation.descriptors.trained_model import find_model
from training.network.settings import NetworkSettings
from training.network.weights import build_network, load_model, load_network, save_network

IMAGENET_SQUEEZENET = Path("../shared/data/weights/squeezenet1_0_imagenet.pt")


def _random(backbone: str = "SqueezeNet1_0", fc_output_dim: int = 8, train_all_layers: bool = False) -> NetworkSettings:
    return NetworkSettings(backbone, fc_output_dim, train_all_layers, backbone_weights="none")


def test_saved_network_loads_with_weights_only(tmp_path: Path) -> None:
    network, path = build_network(_random("ResNet18")).eval(), tmp_path / "model.pth"
    save_network(network, path)
    images = torch.rand(2, 3, 40, 48)
    state = torch.load(path, weights_only=True)
    assert list(state)[-3:] == ["aggregation.1.p", "aggregation.3.weight", "aggregation.3.bias"]
    with torch.no_grad():
        torch.testing.assert_close(load_network(path, "ResNet18", 8)(images), network(images))
    assert [file.name for file in tmp_path.iterdir() if "unfinished" in file.name] == []


def test_equal_networks_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.pth", "b.pth"):
        save_network(build_network(_random(), seed=3), tmp_path / name)
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_random_weights_depend_only_on_the_seed() -> None:
    before = torch.random.get_rng_state()
    linear = [build_network(_random(), seed).state_dict()["aggregation.3.weight"] for seed in (0, 0, 1)]
    assert torch.equal(linear[0], linear[1])
    assert not torch.equal(linear[0], linear[2])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_wrong_backbone_or_dimension_names_the_right_flags(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    save_network(build_network(_random("ResNet18", 32)), path)
    held = "seems to contain a CosPlace network, ResNet18 with fc_output_dim 32, not"
    with pytest.raises(UserError, match=f"model.pth {held} ResNet18 with fc_output_dim 8.*--fc-output-dim"):
        load_network(path, "ResNet18", 8)
    with pytest.raises(UserError, match=f"{held} SqueezeNet1_0 with fc_output_dim 32.*--backbone"):
        load_network(path, "SqueezeNet1_0", 32)
    with pytest.raises(UserError, match=r"seems to contain a CosPlace network, ResNet18.*--resume-model"):
        build_network(NetworkSettings("ResNet18", 8, backbone_weights=str(path)))


def test_resume_model_loads_all_weights(tmp_path: Path) -> None:
    path, saved = tmp_path / "model.pth", build_network(_random(), seed=5)
    save_network(saved, path)
    network = build_network(NetworkSettings("SqueezeNet1_0", 8, resume_model=path))  # imagenet is not downloaded
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), saved.parameters(), strict=True))
    assert not next(network.parameters()).requires_grad


def test_train_all_layers_freezes_nothing() -> None:
    assert all(parameter.requires_grad for parameter in build_network(_random(train_all_layers=True)).parameters())
    assert not all(parameter.requires_grad for parameter in build_network(_random()).parameters())


@pytest.mark.parametrize("backbone", ["ResNet18", "EfficientNet_B0", "SqueezeNet1_1"])
def test_backbone_weights_from_a_torchvision_state_dict(tmp_path: Path, backbone: str) -> None:
    torch.manual_seed(11)
    model = torchvision.models.get_model(backbone.lower(), num_classes=3)  # another classifier does not matter
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    network = build_network(NetworkSettings(backbone, 8, backbone_weights=str(tmp_path / "weights.pth")))
    images, model, network = torch.rand(1, 3, 64, 64), model.eval(), network.eval()
    if backbone.startswith("ResNet"):
        model.avgpool = model.fc = torch.nn.Identity()
        expected = model(images).view(1, 512, 2, 2)
    else:
        expected = model.features(images)
    assert torch.equal(network.backbone(images), expected)


@pytest.mark.skipif(not IMAGENET_SQUEEZENET.exists(), reason="the shared ImageNet weights are not here")
def test_backbone_weights_of_real_imagenet() -> None:
    network = build_network(NetworkSettings("SqueezeNet1_0", 8, backbone_weights=str(IMAGENET_SQUEEZENET)))
    state = torch.load(IMAGENET_SQUEEZENET, weights_only=True)
    assert torch.equal(network.state_dict()["backbone.12.expand3x3.weight"], state["features.12.expand3x3.weight"])
    with pytest.raises(UserError, match=r"contain torchvision's SqueezeNet1_0, not torchvision's ResNet50.*--backbone"):
        build_network(NetworkSettings("ResNet50", 8, backbone_weights=str(IMAGENET_SQUEEZENET)))


def test_deeper_network_is_not_taken_for_a_shallower_one(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = torchvision.models.resnet101().state_dict()
    torch.save({key: torch.zeros(()).expand(value.shape) for key, value in shapes.items()}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="seems to contain torchvision's ResNet101"):
        build_network(NetworkSettings("ResNet50", 8, backbone_weights=str(tmp_path / "weights.pth")))


def test_backbone_weights_of_a_data_parallel_torchvision_model(tmp_path: Path) -> None:
    model = torchvision.models.resnet18()
    torch.save({"state_dict": torch.nn.DataParallel(model).state_dict(), "best": np.float64(1)}, tmp_path / "a.pth")
    network = build_network(NetworkSettings("ResNet18", 8, backbone_weights=str(tmp_path / "a.pth")))
    assert torch.equal(network.state_dict()["backbone.7.1.conv2.weight"], model.layer4[1].conv2.weight)


def test_error_lists_mismatched_keys_without_backbone_advice(tmp_path: Path) -> None:
    state, path = dict(build_network(_random()).state_dict()), tmp_path / "model.pth"
    cases = {
        'Missing key.* "aggregation.1.p"': {k: v for k, v in state.items() if k != "aggregation.1.p"},
        'Unexpected key.* "extra.a", "extra.b"': {**state, "extra.a": torch.ones(1), "extra.b": torch.ones(1)},
        "size mismatch for aggregation.3.weight": {**state, "aggregation.3.weight": torch.ones(8, 9)},
        r"Missing key.*\.\.\.$": {f"net.{k}": v for k, v in state.items()},
    }
    for text, changed in cases.items():
        torch.save(changed, path)
        message = f"model.pth does not fit SqueezeNet1_0 with fc_output_dim 8: {text}"
        with pytest.raises(UserError, match=message) as error:
            load_network(path, "SqueezeNet1_0", 8)
        assert "--backbone" not in str(error.value)
    torch.save({"encoder.a": torch.ones(1), "encoder.b": torch.ones(1)}, path)
    for load in (load_model, find_model):
        with pytest.raises(UserError, match=r"no known network: its keys are encoder.a, encoder.b"):
            load(path)


def test_failed_download_names_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(UserError, match=r"ImageNet weights of ResNet18.*no route to host.*--backbone-weights PATH"):
        build_network(NetworkSettings("ResNet18", 8))


def test_imagenet_weights_are_torchvisions_default(monkeypatch: pytest.MonkeyPatch) -> None:
    model = torchvision.models.resnet18()
    urls = []

    def give(url: str, **kwargs: object) -> dict[str, torch.Tensor]:
        urls.append(url)
        return dict(model.state_dict())

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", give)
    network = build_network(NetworkSettings("ResNet18", 8))
    assert urls == [torchvision.models.ResNet18_Weights.DEFAULT.url]
    assert torch.equal(network.state_dict()["backbone.7.1.conv2.weight"], model.layer4[1].conv2.weight)
