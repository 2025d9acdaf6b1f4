"""The network: a torchvision backbone and the aggregation, with the state-dict keys of the official models."""

import torchvision
from torch import Tensor, nn

from training.network.layers import build_aggregation
from training.settings import BACKBONES


def kept_children(backbone: str) -> dict[str, nn.Module]:
    """Return the children of a torchvision model, with random weights, that make the backbone.

    They are keyed by their names in the torchvision model, as in "layer3" or "features.24".
    """
    entry = BACKBONES[backbone]
    root = torchvision.models.get_model(entry.torchvision_name, weights=None).get_submodule(entry.root)
    prefix = f"{entry.root}." if entry.root else ""
    children = [(prefix + name, child) for name, child in root.named_children()]
    return dict(children[: len(children) - entry.cut])


class GeoLocalizationNet(nn.Module):
    """Images to descriptors. Keys of the state dict: `backbone.<i>...`, `aggregation.1.p`, `aggregation.3.weight`.

    Args:
        backbone: A name of the registry, `training.settings.BACKBONES`.
        fc_output_dim: Length of a descriptor.
    """

    def __init__(self, backbone: str, fc_output_dim: int) -> None:
        super().__init__()
        self.fc_output_dim = fc_output_dim
        self.backbone = nn.Sequential(*kept_children(backbone).values())
        self.aggregation = build_aggregation(BACKBONES[backbone].channels, fc_output_dim)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [b, 3, h, w], float32, ImageNet-normalised, to descriptors [b, fc_output_dim] of unit length."""
        descriptors: Tensor = self.aggregation(self.backbone(images))
        return descriptors


def freeze_early_layers(network: GeoLocalizationNet, backbone: str) -> None:
    """Exclude the layers that the registry calls frozen from training.

    Only their parameters are: their batch norms stay in train mode and go on to follow the training images' statistics,
    as they did for the published models.
    """
    for name in BACKBONES[backbone].frozen:
        network.backbone.get_submodule(name).requires_grad_(False)
