"""A network made ready to describe images: each batch norm becomes part of the convolution before it.

What a batch norm does in evaluation mode is linear, so it can be done by the convolution's own weights. That spares a
walk over each feature map, and changes descriptors by rounding alone.
"""

import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

from training.network.model import GeoLocalizationNet
from training.network.preprocessing import preprocessing_of


def ready_to_describe(network: nn.Module, device: torch.device) -> nn.Module:
    """Return a copy of a network without batch norms, on a device, in the memory layout that convolutions like best.

    The network itself is moved there too, and must be in evaluation mode. One that is not ours, whose steps are not
    known, is given back as it is.
    """
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if not isinstance(network, GeoLocalizationNet):
        return network
    ready = nn.Sequential(fuse(network.backbone), network.aggregation).to(memory_format=torch.channels_last)
    ready.preprocessing = preprocessing_of(network)  # type: ignore[assignment]  # nn.Module types its own attributes alone
    return ready.eval()
