"""A network without batch norms describes images as the one with them does."""

import pytest
import torch
from torch import nn

from evaluation.descriptors.fuse_conv_bn import ready_to_describe
from training.network.model import GeoLocalizationNet
from training.network.preprocessing import preprocessing_of

CPU = torch.device("cpu")


def network_with_history(backbone: str, channels: int = 3) -> GeoLocalizationNet:
    """A network whose batch norms do something, as after training."""
    torch.manual_seed(0)
    network = GeoLocalizationNet(backbone, 8, channels).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, least in ((module.running_mean, -0.2), (module.running_var, 0.8)):
                assert values is not None
                values.uniform_(least, least + 0.4)
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return network


@pytest.mark.parametrize(
    "backbone",
    ["ResNet18", "ResNet50", "EfficientNet_B0", "SqueezeNet1_1", "ConvNeXt_Tiny", "MobileNet_V3_Large"],
)
@torch.inference_mode()
def test_each_family_of_networks_gives_the_same_descriptors_without_batch_norms(backbone: str) -> None:
    network, images = network_with_history(backbone), torch.randn(2, 3, 64, 48)
    expected = network(images)
    ready = ready_to_describe(network, CPU)
    torch.testing.assert_close(ready(images), expected, atol=1e-6, rtol=0)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in ready.modules())
    batch_norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for module in batch_norms:
        module.reset_running_stats()
    assert not batch_norms or (network(images) - expected).abs().max() > 1e-3, "they do matter"


@torch.inference_mode()
def test_the_network_itself_stays_as_it_was_and_its_copy_takes_the_same_images() -> None:
    network = network_with_history("ResNet18", channels=1)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    ready = ready_to_describe(network, CPU)
    assert preprocessing_of(ready) == network.preprocessing
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())


def test_a_network_of_another_make_is_left_alone(network: nn.Module) -> None:
    assert ready_to_describe(network, CPU) is network
