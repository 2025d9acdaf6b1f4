"""Fuse each batch norm into the convolution before it.

In evaluation mode a batch norm is linear. Fused, descriptors change only by rounding.
"""

import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

from training.network.model import GeoLocalizationNet
from training.network.preprocessing import preprocessing_of


def fuse_conv_bn(network: nn.Module, device: torch.device) -> nn.Module:
    """Return a fused copy of a network in evaluation mode, on a device, in channels-last layout.

    The network itself is moved there too. A network with a backbone of timm, whose code torch.fx cannot trace, or of
    another kind is returned unfused.
    """
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if not isinstance(network, GeoLocalizationNet) or not isinstance(network.backbone, nn.Sequential):
        return network
    fused = nn.Sequential(fuse(network.backbone), network.aggregation).to(memory_format=torch.channels_last)
    fused.preprocessing = preprocessing_of(network)  # type: ignore[assignment]  # nn.Module only types its own attributes
    return fused.eval()
