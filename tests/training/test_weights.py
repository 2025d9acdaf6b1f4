import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision

from data_manifest.errors import UserError
from training.network import build_network, load_network, save_network
from training.settings import NetworkSettings

IMAGENET_SQUEEZENET = Path("../shared/data/weights/squeezenet1_0_imagenet.pt")


def _random(backbone: str = "SqueezeNet1_0", fc_output_dim: int = 8, train_all_layers: bool = False) -> NetworkSettings:
    return NetworkSettings(backbone, fc_output_dim, train_all_layers, backbone_weights="none")


@pytest.mark.slow
def test_a_saved_network_loads_in_a_fresh_process_without_running_what_it_holds(tmp_path: Path) -> None:
    network, path = build_network(_random("ResNet18")).eval(), tmp_path / "model.pth"
    save_network(network, path)
    images = torch.rand(2, 3, 40, 48)
    torch.save({"images": images, "descriptors": network(images).detach()}, tmp_path / "expected.pth")
    code = f"""if True:
        import torch
        from pathlib import Path
        from training.network import load_network
        state = torch.load({str(path)!r}, weights_only=True)
        assert list(state)[-3:] == ["aggregation.1.p", "aggregation.3.weight", "aggregation.3.bias"]
        expected = torch.load({str(tmp_path / "expected.pth")!r}, weights_only=True)
        network = load_network(Path({str(path)!r}), "ResNet18", 8)
        with torch.no_grad():
            torch.testing.assert_close(network(expected["images"]), expected["descriptors"])
    """
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [file.name for file in tmp_path.iterdir() if "unfinished" in file.name] == []


def test_equal_networks_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.pth", "b.pth"):
        save_network(build_network(_random(), seed=3), tmp_path / name)
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_random_weights_follow_the_seed_and_leave_the_global_state_alone() -> None:
    before = torch.random.get_rng_state()
    linear = [build_network(_random(), seed).state_dict()["aggregation.3.weight"] for seed in (0, 0, 1)]
    assert torch.equal(linear[0], linear[1])
    assert not torch.equal(linear[0], linear[2])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_wrong_backbone_or_dim_says_what_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    save_network(build_network(_random("ResNet18", 32)), path)
    held = "seems to hold a CosPlace network, ResNet18 with fc_output_dim 32; it cannot fill"
    with pytest.raises(UserError, match=f"model.pth {held} ResNet18 with fc_output_dim 8.*--fc-output-dim"):
        load_network(path, "ResNet18", 8)
    with pytest.raises(UserError, match=f"{held} SqueezeNet1_0 with fc_output_dim 32.*--backbone"):
        load_network(path, "SqueezeNet1_0", 32)
    with pytest.raises(UserError, match=r"seems to hold a CosPlace network, ResNet18.*--resume-model"):
        build_network(NetworkSettings("ResNet18", 8, backbone_weights=str(path)))


def test_resume_model_fills_the_whole_network(tmp_path: Path) -> None:
    path, saved = tmp_path / "model.pth", build_network(_random(), seed=5)
    save_network(saved, path)
    network = build_network(NetworkSettings("SqueezeNet1_0", 8, resume_model=path))  # imagenet is not downloaded
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), saved.parameters(), strict=True))
    assert not next(network.parameters()).requires_grad


def test_train_all_layers_freezes_nothing() -> None:
    assert all(parameter.requires_grad for parameter in build_network(_random(train_all_layers=True)).parameters())
    assert not all(parameter.requires_grad for parameter in build_network(_random()).parameters())


@pytest.mark.parametrize("backbone", ["ResNet18", "EfficientNet_B0", "SqueezeNet1_1"])
def test_backbone_weights_come_from_a_state_dict_of_the_torchvision_model(tmp_path: Path, backbone: str) -> None:
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
    with pytest.raises(UserError, match=r"holds? torchvision's SqueezeNet1_0; .*torchvision's ResNet50.*--backbone"):
        build_network(NetworkSettings("ResNet50", 8, backbone_weights=str(IMAGENET_SQUEEZENET)))


def test_a_deeper_network_is_not_taken_for_a_shallower_one(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = torchvision.models.resnet101().state_dict()
    torch.save({key: torch.zeros(()).expand(value.shape) for key, value in shapes.items()}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="seems to hold torchvision's ResNet101"):
        build_network(NetworkSettings("ResNet50", 8, backbone_weights=str(tmp_path / "weights.pth")))


def test_files_that_hold_no_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("no weights")
    torch.save({"state_dict": {"a": torch.ones(1)}}, tmp_path / "nested.pth")
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pth")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "object.pth")
    reasons = {
        "missing.pth": "there is no such file; give another with --backbone-weights",
        "text.pth": "holds no tensors saved by torch",
        "nested.pth": "a state dict holds tensors alone, this file holds state_dict",
        "other.pth": "seems to hold no network known here .its first keys are a.",
        "object.pth": "holds no tensors saved by torch, or more than them",
    }
    for name, reason in reasons.items():
        with pytest.raises(UserError, match=f"{name}.*{reason}"):
            build_network(NetworkSettings("SqueezeNet1_0", 8, backbone_weights=str(tmp_path / name)))


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    save_network(build_network(_random()), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is broken"):
        load_network(path, "SqueezeNet1_0", 8)


def test_a_failed_download_names_the_flag_and_falls_back_on_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"file/model\.pth cannot be written"):
        save_network(build_network(_random()), tmp_path / "file" / "model.pth")
