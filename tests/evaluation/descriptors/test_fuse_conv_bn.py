import pytest
import torch
from torch import nn

from evaluation.descriptors.fuse_conv_bn import fuse_conv_bn
from training.network.model import GeoLocalizationNet
from training.network.preprocessing import preprocessing_of

CPU = torch.device("cpu")


def network_with_history(backbone: str, channels: int = 3) -> GeoLocalizationNet:
    """Return a network whose batch norms have statistics, as after training."""
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
def test_fusing_keeps_the_descriptors_of_each_family_of_backbones(backbone: str) -> None:
    network, images = network_with_history(backbone), torch.randn(2, 3, 64, 48)
    expected = network(images)
    fused = fuse_conv_bn(network, CPU)
    torch.testing.assert_close(fused(images), expected, atol=1e-6, rtol=0)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    batch_norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for module in batch_norms:
        module.reset_running_stats()
    assert not batch_norms or (network(images) - expected).abs().max() > 1e-3, "batch norms matter"


@torch.inference_mode()
def test_fusing_leaves_the_network_unchanged_and_keeps_its_preprocessing() -> None:
    network = network_with_history("ResNet18", channels=1)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    fused = fuse_conv_bn(network, CPU)
    assert preprocessing_of(fused) == network.preprocessing
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())


def test_an_unknown_network_is_returned_unfused(network: nn.Module) -> None:
    assert fuse_conv_bn(network, CPU) is network
