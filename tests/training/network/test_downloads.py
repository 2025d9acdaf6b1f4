"""Official weights from a local server, and the errors of failed downloads."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision

from data_manifest.errors import UserError
from training.network.backbones import OFFICIAL_DIMS
from training.network.downloads import RELEASE_URL, cached_file, check_published
from training.network.settings import NetworkSettings
from training.network.weights import build_network, load_official


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_official_weights_are_downloaded_once(release: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = release
    network = load_official("ResNet18", 32, f"{url}/", progress=False)
    (file,) = folder.iterdir()
    expected = torch.load(file, weights_only=True)
    assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())
    assert not network.training
    file.unlink()
    load_official("ResNet18", 32, url, progress=False)
    assert [path.name for path in (tmp_path / "torch/hub/checkpoints").iterdir()] == ["ResNet18_32_cosplace.pth"]


def test_missing_weights_error_names_the_url(release: tuple[Path, str]) -> None:
    with pytest.raises(UserError, match=r"VGG16 with .* 64 from http://127.*/VGG16_64_cosplace.pth: .*404"):
        load_official("VGG16", 64, release[1], progress=False)


@pytest.mark.parametrize("kept", [0, 0.5, 0.999])
def test_incomplete_download_is_removed(release: tuple[Path, str], kept: float) -> None:
    folder, url = release
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(UserError, match=r"incomplete or damaged \(.*_cosplace\.pth, now removed\)\."):
        load_official("ResNet18", 32, url, progress=False)
    file.write_bytes(whole)
    load_official("ResNet18", 32, url, progress=False)


def test_broken_cached_imagenet_weights_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    url = torchvision.models.ResNet18_Weights.DEFAULT.url
    kept = cached_file(url)
    assert kept.name == "resnet18-f37072fd.pth"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"<html>please log in</html>")
    with pytest.raises(UserError, match=rf"{url}: .*resnet18-f37072fd.pth, now removed.*--backbone-weights PATH"):
        build_network(NetworkSettings("ResNet18", 8))
    assert not kept.exists()


def test_release_url() -> None:
    assert RELEASE_URL == "https://github.com/gmberton/CosPlace/releases/download/v1.0"


def test_official_dimensions() -> None:
    assert {name: (dims[0], dims[-1]) for name, dims in OFFICIAL_DIMS.items()} == {
        **{"VGG16": (64, 512), "ResNet18": (32, 512)},
        **dict.fromkeys(["ResNet50", "ResNet101", "ResNet152"], (32, 2048)),
    }
    assert OFFICIAL_DIMS["ResNet18"] == (32, 64, 128, 256, 512)
    for backbone, dims in OFFICIAL_DIMS.items():
        for dim in dims:
            check_published(backbone, dim)


@pytest.mark.parametrize(("backbone", "dim"), [("ResNet18", 1024), ("VGG16", 32), ("EfficientNet_B0", 512), ("x", 512)])
def test_unpublished_weights_error_lists_the_published_ones(backbone: str, dim: int) -> None:
    with pytest.raises(UserError) as error:
        load_official(backbone, dim)
    assert str(error.value).startswith(
        f"There are no official weights of {backbone} with fc_output_dim {dim}. Published"
    )
    assert "VGG16: 64, 128, 256, 512; ResNet18: 32, 64, 128, 256, 512; ResNet50: 32, 64," in str(error.value)


@pytest.mark.parametrize("dim", ["32", "32.0", 32.0, " 32"])
def test_dimension_may_be_text_or_float(release: tuple[Path, str], dim: str | float) -> None:
    network = load_official("ResNet18", dim, release[1], progress=False)
    assert network.fc_output_dim == 32


@pytest.mark.parametrize("dim", ["x", "", 32.5, "32.5", True, float("nan"), float("inf"), [32], None, 31, "-32"])
def test_invalid_dimension_is_a_value_error(dim: Any) -> None:
    with pytest.raises(ValueError, match="fc_output_dim"):
        load_official("ResNet18", dim)
