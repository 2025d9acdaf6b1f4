"""The network: a torchvision backbone and the aggregation, with the state-dict keys of the official models."""

import dataclasses
from typing import Any

import torchvision
from torch import Tensor, nn

from data_manifest.images.image_size import ImageSize
from training.network.backbones import BACKBONES
from training.network.layers import build_aggregation
from training.network.preprocessing import Preprocessing

STATEMENT = "cosplace"  # key of the network's description in the metadata of its state dict


def kept_children(backbone: str) -> dict[str, nn.Module]:
    """Return the children of a torchvision model, with random weights, that form the backbone.

    They are keyed by their names in the torchvision model, as in "layer3" or "features.24".
    """
    entry = BACKBONES[backbone]
    root = torchvision.models.get_model(entry.torchvision_name, weights=None).get_submodule(entry.root)
    prefix = f"{entry.root}." if entry.root else ""
    children = [(prefix + name, child) for name, child in root.named_children()]
    return dict(children[: len(children) - entry.cut])


class GeoLocalizationNet(nn.Module):
    """Images to descriptors. Keys of the state dict: `backbone.<i>...`, `aggregation.1.p`, `aggregation.3.weight`.

    The state dict contains only tensors, like those of the official models; its metadata describe the network and its
    preprocessing.

    Args:
        name: A key of `training.network.backbones.BACKBONES`.
        fc_output_dim: Descriptor dimension.
        channels: Image channels: 3 for colour, 1 for grayscale.
    """

    def __init__(self, name: str, fc_output_dim: int, channels: int = 3) -> None:
        super().__init__()
        self.name, self.fc_output_dim = name, fc_output_dim
        self.preprocessing = Preprocessing.of_channels(channels)
        self.backbone = nn.Sequential(*kept_children(name).values())
        if channels != 3:
            replace_stem(self.backbone, channels)
        self.aggregation = build_aggregation(BACKBONES[name].channels, fc_output_dim)
        self.register_state_dict_post_hook(_state)  # type: ignore[no-untyped-call]

    def forward(self, images: Tensor) -> Tensor:
        """Map images [b, channels, h, w], float32, normalised, to descriptors [b, fc_output_dim] of unit length."""
        descriptors: Tensor = self.aggregation(self.backbone(images))
        return descriptors

    def set_image_size(self, image_size: ImageSize | None) -> None:
        """Set the size of the training images, which the model file states."""
        self.preprocessing = dataclasses.replace(self.preprocessing, image_size=image_size)


def _state(network: nn.Module, tensors: Any, prefix: str, metadata: dict[str, Any]) -> None:
    """Add the network's description, as plain values, to its state dict's metadata."""
    assert isinstance(network, GeoLocalizationNet)
    metadata[STATEMENT] = {
        "backbone": network.name,
        "fc_output_dim": network.fc_output_dim,
        "preprocessing": network.preprocessing.stated(),
    }


def stem_of(backbone: nn.Sequential) -> str:
    """Return the name of the first convolution."""
    names: list[str] = [name for name, module in backbone.named_modules() if isinstance(module, nn.Conv2d)]
    return names[0]


def replace_stem(backbone: nn.Sequential, channels: int) -> None:
    """Replace the first convolution by a random one with `channels` input channels."""
    name = stem_of(backbone)
    old = backbone.get_submodule(name)
    assert isinstance(old, nn.Conv2d)
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]  # pairs, but typed as tuples of any length
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    backbone.set_submodule(name, new)


def freeze_early_layers(network: GeoLocalizationNet) -> None:
    """Freeze the parameters of the layers that the registry names.

    Their batch norms stay in train mode, and so follow the training images, as in the published models.
    """
    for name in BACKBONES[network.name].frozen:
        network.backbone.get_submodule(name).requires_grad_(False)
