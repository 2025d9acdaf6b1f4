from functools import cache

import pytest
import torch

from training.network.backbones import BACKBONES
from training.network.model import GeoLocalizationNet, freeze_early_layers


@cache
def _network(backbone: str) -> GeoLocalizationNet:
    with torch.device("meta"):  # shapes without values
        network = GeoLocalizationNet(backbone, 64)
        freeze_early_layers(network)
    return network


def _batch_norm(prefix: str) -> list[str]:
    return [f"{prefix}.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]


AGGREGATION = ["aggregation.1.p", "aggregation.3.weight", "aggregation.3.bias"]


def test_keys_of_resnet18() -> None:
    expected = ["backbone.0.weight", *_batch_norm("backbone.1")]
    for layer in (4, 5, 6, 7):
        for block in (0, 1):
            prefix = f"backbone.{layer}.{block}"
            expected += [f"{prefix}.conv1.weight", *_batch_norm(f"{prefix}.bn1")]
            expected += [f"{prefix}.conv2.weight", *_batch_norm(f"{prefix}.bn2")]
            if layer > 4 and block == 0:
                expected += [f"{prefix}.downsample.0.weight", *_batch_norm(f"{prefix}.downsample.1")]
    assert list(_network("ResNet18").state_dict()) == expected + AGGREGATION


def test_keys_of_vgg16() -> None:
    convolutions = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    expected = [f"backbone.{number}.{kind}" for number in convolutions for kind in ("weight", "bias")]
    assert list(_network("VGG16").state_dict()) == expected + AGGREGATION
    assert len(list(_network("VGG16").backbone.children())) == 29


def test_keys_of_efficientnet_b0() -> None:
    keys = list(_network("EfficientNet_B0").state_dict())
    assert keys[:6] == ["backbone.0.0.0.weight", *_batch_norm("backbone.0.0.1")]
    assert keys[6] == "backbone.0.1.0.block.0.0.weight"
    assert keys[-9:] == ["backbone.0.8.0.weight", *_batch_norm("backbone.0.8.1"), *AGGREGATION]
    assert {key.split(".")[1] for key in keys if key.startswith("backbone")} == {"0"}


def test_shapes_of_the_aggregation() -> None:
    state = _network("ResNet50").state_dict()
    assert [tuple(state[key].shape) for key in AGGREGATION] == [(1,), (64, 2048), (64,)]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_each_backbone_maps_images_to_descriptors(backbone: str) -> None:
    assert _network(backbone)(torch.empty(2, 3, 64, 96, device="meta")).shape == (2, 64)


FIRST_TRAINED = {
    "VGG16": "backbone.24.weight",
    "ResNet18": "backbone.6.0.conv1.weight",
    "ResNet50": "backbone.6.0.conv1.weight",
    "ResNet101": "backbone.6.0.conv1.weight",
    "ResNet152": "backbone.6.0.conv1.weight",
    **{f"EfficientNet_B{size}": "backbone.0.5.0.block.0.0.weight" for size in range(8)},
    "SqueezeNet1_0": "backbone.7.squeeze.weight",
    "SqueezeNet1_1": "backbone.6.squeeze.weight",
    "ConvNeXt_Tiny": "backbone.0.4.0.weight",  # the layer norm of the downsampling before the third stage
    "MobileNet_V3_Large": "backbone.0.11.block.0.0.weight",
}


def test_train_blocks_counts_stages_from_the_end() -> None:
    firsts = []
    for train_blocks in (1, 3, 4):
        with torch.device("meta"):
            freeze_early_layers(network := GeoLocalizationNet("ResNet18", 8), train_blocks)
        firsts.append(next(name for name, each in network.named_parameters() if each.requires_grad))
    assert firsts == [f"backbone.{layer}.0.conv1.weight" for layer in (7, 5, 4)], "layer4, layer2 and layer1"


@pytest.mark.parametrize("backbone", BACKBONES)
def test_frozen_layers_end_at_the_first_trained_one(backbone: str) -> None:
    parameters = list(_network(backbone).named_parameters())
    first = [name for name, _ in parameters].index(FIRST_TRAINED[backbone])
    assert first > 0
    assert not any(parameter.requires_grad for _, parameter in parameters[:first])
    assert all(parameter.requires_grad for _, parameter in parameters[first:])
    assert [name for name, _ in parameters[-3:]] == AGGREGATION
