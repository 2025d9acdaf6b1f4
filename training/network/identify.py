"""Which network a state dict holds: what its file states, or else what its keys and shapes show."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training.network.backbones import BACKBONES
from training.network.model import STATEMENT, GeoLocalizationNet, kept_children, stem_of
from training.network.state_dicts import differences, few

Shapes = dict[str, tuple[int, ...]]
LAST_BIAS = "aggregation.3.bias"
AGGREGATION = ("aggregation.1.p", "aggregation.3.weight", LAST_BIAS)


class Identity(NamedTuple):
    """A network of the registry: its backbone, the length of its descriptors, and the channels of its images."""

    backbone: str
    fc_output_dim: int
    channels: int

    def __str__(self) -> str:
        grey = "" if self.channels == 3 else " for grayscale images"
        return f"{self.backbone} with fc_output_dim {self.fc_output_dim}{grey}"


def statement_of(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what a state dict's file states of its network; nothing for official weights."""
    metadata = getattr(state, "_metadata", None) or {}
    statement = metadata.get("", {}).get(STATEMENT, {})
    return statement if isinstance(statement, dict) else {}


def identify(state: Mapping[str, Tensor]) -> Identity | None:
    """Return which network a state dict is of; None if it is of none that is known here."""
    shapes = shapes_of(state)
    stated = statement_of(state).get("backbone")
    # From deep to shallow, because all layers of ResNet50 are found in ResNet101 too.
    names = [stated] if stated in BACKBONES else sorted(BACKBONES, key=lambda name: -len(network_shapes(name)))
    for backbone in names:
        for channels in (3, 1):
            if network_shapes(backbone, channels).items() <= shapes.items() and LAST_BIAS in shapes:
                return Identity(backbone, shapes[LAST_BIAS][0], channels)
    return None


def describe(state: Mapping[str, Tensor]) -> str:
    """Return in words what a state dict seems to hold."""
    if found := identify(state):
        return f"a CosPlace network, {found}"
    if backbone := torchvision_name(state):
        return f"torchvision's {backbone}"
    shapes = shapes_of(state)
    name, expected = _closest(shapes)
    if not shapes.keys() & expected.keys():
        return f"no known network: its keys are {few(list(state))}"
    return f"no known network; closest is {name}, with {differences(shapes, expected)}"


def torchvision_name(state: Mapping[str, Tensor]) -> str | None:
    """Return the backbone whose torchvision weights a state dict holds, or None."""
    shapes = shapes_of(state)
    by_size = sorted(BACKBONES, key=lambda name: -len(network_shapes(name)))
    return next((name for name in by_size if torchvision_shapes(name).items() <= shapes.items()), None)


def _closest(shapes: Shapes) -> tuple[str, Shapes]:
    """Return the name and the shapes of the network that shares most keys and shapes; of equals the smallest."""
    heads = {key: shapes.get(key, ()) for key in AGGREGATION}
    networks = {name: network_shapes(name) | heads for name in BACKBONES}
    return max(networks.items(), key=lambda each: (len(each[1].items() & shapes.items()), -len(each[1])))


def channels_of(state: Mapping[str, Tensor], backbone: str) -> int:
    """Return how many channels the images have that a network of a backbone takes, with the weights of a state dict."""
    stem = state.get(f"backbone.{stem_name(backbone)}.weight")
    return stem.shape[1] if stem is not None and stem.dim() == 4 and stem.shape[1] == 1 else 3


@functools.cache
def stem_name(backbone: str) -> str:
    """Return the name, in the backbone, of the convolution that takes the images."""
    with torch.device("meta"):
        return stem_of(GeoLocalizationNet(backbone, 1).backbone)


@functools.cache
def kept_names(backbone: str) -> tuple[str, ...]:
    """Return the names, in the torchvision model, of the children that make the backbone, in order."""
    with torch.device("meta"):
        return tuple(kept_children(backbone))


def shapes_of(state: Mapping[str, Tensor]) -> Shapes:
    """Return shapes by key, without the counters that files from before torch 0.4.1 lack."""
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
