"""Identify the network of a state dict: from the file's statement, or else from its keys and shapes."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training.network.backbones import BACKBONES, TIMM
from training.network.model import STATEMENT, GeoLocalizationNet, kept_children, stem_of
from training.network.state_dict_files import list_some

Shapes = dict[str, tuple[int, ...]]
LAST_BIAS = "aggregation.3.bias"


class Identity(NamedTuple):
    """A network's backbone, the dimension of its descriptors, and its number of image channels."""

    backbone: str
    fc_output_dim: int
    channels: int

    def __str__(self) -> str:
        grey = "" if self.channels == 3 else " for grayscale images"
        return f"{self.backbone} with fc_output_dim {self.fc_output_dim}{grey}"


def statement_of(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the description of the network in a state dict's metadata; empty for official weights."""
    metadata = getattr(state, "_metadata", None) or {}
    statement = metadata.get("", {}).get(STATEMENT, {})
    return statement if isinstance(statement, dict) else {}


def identify(state: Mapping[str, Tensor]) -> Identity | None:
    """Return the network that a state dict belongs to, or None if its backbone is unknown."""
    shapes = shapes_of(state)
    stated = str(statement_of(state).get("backbone"))
    for backbone in [stated] if stated in BACKBONES or stated.startswith(TIMM) else _deepest_first():
        for channels in (3, 1):
            if network_shapes(backbone, channels).items() <= shapes.items() and LAST_BIAS in shapes:
                return Identity(backbone, shapes[LAST_BIAS][0], channels)
    return None


def describe(state: Mapping[str, Tensor]) -> str:
    """Return in words what a state dict seems to contain."""
    if found := identify(state):
        return f"a CosPlace network, {found}"
    if backbone := torchvision_name(state):
        return f"torchvision's {backbone}"
    return f"no known network: its keys are {list_some(list(state))}"


def torchvision_name(state: Mapping[str, Tensor]) -> str | None:
    """Return the backbone whose torchvision weights a state dict contains, or None."""
    shapes = shapes_of(state)
    return next((name for name in _deepest_first() if torchvision_shapes(name).items() <= shapes.items()), None)


def _deepest_first() -> list[str]:
    """Return all backbones from deep to shallow: ResNet101 has all layers of ResNet50."""
    return sorted(BACKBONES, key=lambda name: -len(network_shapes(name)))


def channels_of(state: Mapping[str, Tensor], backbone: str) -> int:
    """Return the number of image channels, 1 or 3, of the network whose weights these are."""
    stem = state.get(f"backbone.{stem_name(backbone)}.weight")
    return 1 if stem is not None and stem.dim() == 4 and stem.shape[1] == 1 else 3


@functools.cache
def stem_name(backbone: str) -> str:
    """Return the name of the backbone's first convolution."""
    with torch.device("meta"):
        return stem_of(GeoLocalizationNet(backbone, 1).backbone)


@functools.cache
def kept_names(backbone: str) -> tuple[str, ...]:
    """Return the names of the torchvision model's children that form the backbone, in order."""
    with torch.device("meta"):
        return tuple(kept_children(backbone))


def shapes_of(state: Mapping[str, Tensor]) -> Shapes:
    """Return shapes by key, without batch counters, which files written before torch 0.4.1 lack."""
    return {key: tuple(value.shape) for key, value in state.items() if not key.endswith("num_batches_tracked")}


@functools.cache
def network_shapes(backbone: str, channels: int = 3) -> Shapes:
    """Return the shapes of a network's backbone, by key of the network's state dict."""
    with torch.device("meta"):
        return shapes_of(GeoLocalizationNet(backbone, 1, channels).backbone.state_dict(prefix="backbone."))


@functools.cache
def torchvision_shapes(backbone: str) -> Shapes:
    """Return the shapes of a backbone, by key of the torchvision model's state dict."""
    names = kept_names(backbone)
    shapes: Shapes = {}
    for key, shape in network_shapes(backbone).items():
        number, _, rest = key.removeprefix("backbone.").partition(".")
        shapes[f"{names[int(number)]}.{rest}"] = shape
    return shapes
