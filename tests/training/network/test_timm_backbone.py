"""Backbones of timm, with random weights: maps, sizes, frozen blocks, weights, preprocessing."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import hubconf
from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from evaluation.descriptors.trained_model import find_model
from training.network.model import GeoLocalizationNet, checkpoint_gradients
from training.network.settings import NetworkSettings
from training.network.timm_backbone import check_image_size, facts_of
from training.network.weights import build_network, load_model, save_network

timm, constants = pytest.importorskip("timm"), pytest.importorskip("huggingface_hub.constants")
VIT, RESNET, CONVNEXT = "timm/test_vit", "timm/test_resnet", "timm/test_convnext"
MOBILENET, DINOV2, DINOV3 = (
    f"timm/{name}"
    for name in ("mobilenetv4_conv_small_035", "vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3")
)
FAMILIES = {VIT: 16, DINOV2: 14, DINOV3: 16, RESNET: 1, CONVNEXT: 1, MOBILENET: 1}
TRAINED = {  # first trained parameter and number of stages
    VIT: ("blocks.2.norm1.weight", 6),
    DINOV2: ("blocks.8.norm1.weight", 12),
    DINOV3: ("blocks.8.gamma_1", 12),
    RESNET: ("layer3.0.conv1.weight", 4),
    CONVNEXT: ("stages.2.downsample.0.weight", 4),
    MOBILENET: ("blocks.3.0.dw_start.conv.weight", 5),
}


def _settings(backbone: str = VIT, **more: object) -> NetworkSettings:
    return NetworkSettings(backbone, 8, **{"backbone_weights": "none", **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("backbone", FAMILIES)
def test_maps_images_of_any_size_and_trains_every_parameter(backbone: str) -> None:
    network, multiple = GeoLocalizationNet(backbone, 8), FAMILIES[backbone]
    assert facts_of(backbone).multiple == multiple
    for height, width in ((8 * multiple + 32, 6 * multiple + 64), (117, 75)):
        descriptors = network(torch.rand(2, 3, height, width))
        torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(2))
    descriptors[:, 0].sum().backward()
    unused = [name for name, each in network.named_parameters() if each.grad is None]
    assert unused == [], "data-parallel training needs gradients of all"


def test_map_of_a_vit_is_its_patch_tokens_in_rows() -> None:
    network = GeoLocalizationNet(DINOV2, 8).eval()
    whole: Any = timm.create_model(DINOV2.removeprefix("timm/"), dynamic_img_size=True).eval()
    whole.load_state_dict(network.backbone.get_submodule("model").state_dict(), strict=False)
    images = torch.rand(1, 3, 4 * 14, 6 * 14)
    with torch.no_grad():
        tokens, features = whole.forward_features(images), network.backbone(images)
    assert (tokens.shape[1], features.shape) == (5 + 24, (1, 384, 4, 6)), "a class and four register tokens"
    for row, column in ((0, 0), (1, 2), (3, 5)):
        torch.testing.assert_close(features[0, :, row, column], tokens[0, 5 + 6 * row + column])


def test_sides_are_resized_to_the_nearest_multiple() -> None:
    backbone = GeoLocalizationNet(DINOV2, 8).backbone
    with torch.device("meta"):
        backbone = backbone.to("meta")
        for side, patches in ((20, 1), (21, 2), (512, 37), (5, 1)):
            assert backbone(torch.empty(1, 3, side, 28)).shape == (1, 384, patches, 2)


@pytest.mark.parametrize("backbone", FAMILIES)
def test_last_stages_or_blocks_are_trained(backbone: str) -> None:
    first, num_stages = TRAINED[backbone]
    with torch.device("meta"):
        names = [name for name, each in build_network(_settings(backbone)).named_parameters() if each.requires_grad]
        last = build_network(_settings(backbone, train_blocks=1))
        none = build_network(_settings(backbone, train_blocks=0))
    assert names[0] == f"backbone.model.{first}"
    assert names[-1] == "aggregation.3.bias"
    assert len(facts_of(backbone).stages) == 1 + num_stages
    trained = [name for name, each in last.named_parameters() if each.requires_grad]
    assert 3 < len(trained) < len(names)
    assert not any(each.requires_grad for each in none.backbone.parameters())
    with pytest.raises(
        UserError, match=rf"train_blocks = 13: {backbone} has {num_stages}\. Give 0 to {num_stages}, or"
    ):
        build_network(_settings(backbone, train_blocks=13))


def test_image_size_is_checked_against_the_patch() -> None:
    for size, advice in (
        (ImageSize(512, 512), "512: .* 14, the patch size of timm/vit.*Use 504 or 518"),
        (ImageSize(480, 640), "480x640: .*Use 476x630 or 490x644"),
        (ImageSize(8, 8), "8: .*Use 14"),
    ):
        with pytest.raises(UserError, match=f"image_size = {advice}"):
            build_network(_settings(DINOV2), image_size=size)
    check_image_size(DINOV2, ImageSize(518, 14))
    check_image_size("ResNet18", ImageSize(17, 19))


@pytest.mark.parametrize(
    ("backbone", "text"),
    [("timm/test_vt", "no model of this name. Closest: timm/test_vit"), ("timm/test_vit_relpos", "images of one size")],
)
def test_unusable_models_are_errors(backbone: str, text: str) -> None:
    with pytest.raises(UserError, match=f"backbone = {backbone}: .*{text}"):
        GeoLocalizationNet(backbone, 8)


def test_missing_timm_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    facts_of.cache_clear()
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"timm is not installed: pip install 'cosplace-pipeline\[timm\]'"):
        GeoLocalizationNet(VIT, 8)


def test_weights_offline_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        UserError, match=r"download the weights test_vit.r160_in1k of timm \(licence apache.*--backbone-w"
    ):
        build_network(NetworkSettings(VIT, 8))


@pytest.mark.parametrize("backbone", [VIT, RESNET])
def test_weights_from_a_file_of_timm(tmp_path: Path, backbone: str) -> None:
    torch.manual_seed(3)
    whole: Any = timm.create_model(backbone.removeprefix("timm/"), num_classes=5)
    torch.save(whole.state_dict(), path := tmp_path / "weights.pth")
    before = torch.random.get_rng_state()
    network = build_network(_settings(backbone, backbone_weights=str(path)))
    grey = build_network(_settings(backbone, backbone_weights=str(path), grayscale=True))
    assert torch.equal(torch.random.get_rng_state(), before)
    images, whole = torch.rand(1, 1, 160, 160), whole.eval()
    with torch.no_grad():
        expected = whole.forward_intermediates(images.expand(1, 3, -1, -1), norm=True, intermediates_only=True)
        for each in (network.eval().backbone(images.expand(1, 3, -1, -1)), grey.eval().backbone(images)):
            torch.testing.assert_close(each, expected[-1], atol=1e-4, rtol=1e-4)
    with pytest.raises(UserError, match=f"weights.pth does not fit {CONVNEXT}"):
        build_network(_settings(CONVNEXT, backbone_weights=str(path)))


@pytest.mark.parametrize("grayscale", [False, True])
def test_model_file_states_timms_preprocessing(tmp_path: Path, grayscale: bool) -> None:
    network = build_network(_settings(MOBILENET, grayscale=grayscale), image_size=ImageSize(64, 96)).eval()
    channels = 1 if grayscale else 3
    assert network.preprocessing.mean == (0.5,) * channels, "not ImageNet's"
    save_network(network, path := tmp_path / "model.pth")
    resumed = build_network(_settings(MOBILENET, grayscale=grayscale, resume_model=path)).eval()
    photo = Image.effect_noise((90, 70), 50).convert("RGB")
    found = find_model(path)
    for loaded in (load_model(path), hubconf.load_model(str(path)), found.network):
        assert loaded.preprocessing == network.preprocessing
        assert (loaded.preprocessing.interpolation, loaded.name) == ("bicubic", MOBILENET)
        inputs = loaded.preprocessing(photo)
        assert inputs.shape == (1, channels, 70, 90)
        with torch.no_grad():
            assert torch.equal(loaded(inputs), network(inputs))
            assert torch.equal(resumed(inputs), network(inputs))


def test_gradient_checkpointing_keeps_less_and_changes_nothing() -> None:
    gradients, kept, sizes = [], [], list[int]()

    def keep(value: torch.Tensor) -> torch.Tensor:
        sizes.append(value.nbytes)
        return value

    for checkpointing in (False, True):
        network = build_network(_settings(train_all_layers=True), seed=2)
        if checkpointing:
            checkpoint_gradients(network)
        sizes.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            loss = network(torch.linspace(0, 1, 2 * 3 * 64 * 64).view(2, 3, 64, 64))[:, 0].sum()
        loss.backward()
        gradients.append([each.grad for each in network.parameters()])
        kept.append(sum(sizes))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert kept[1] < kept[0] / 2


def test_gradient_checkpointing_needs_timm_without_batch_norm() -> None:
    for backbone, text in ((RESNET, "batch norms"), ("SqueezeNet1_1", "not a timm backbone")):
        with pytest.raises(UserError, match=f"gradient_checkpointing = True: {backbone} .*{text}"):
            checkpoint_gradients(GeoLocalizationNet(backbone, 8))
