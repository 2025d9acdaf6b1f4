"""Identify the network of a state dict: from the file's statement, or else from its keys and shapes."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from training.network.backbones import BACKBONES, TIMM
from training.network.model import STATEMENT, GeoLocalizationNet, kept_children, stem_of
from training.network.state_dict_files import list_some

Shapes = dict[str, tuple[int, ...]]
LAST_BIAS = "aggregation.3.bias"
DEEPEST_FIRST = tuple(reversed(BACKBONES))  # within each family: ResNet101 has all layers of ResNet50


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
    if LAST_BIAS not in shapes:
        return None
    stated = str(statement_of(state).get("backbone"))
    for backbone in [stated] if stated in BACKBONES or stated.startswith(TIMM) else DEEPEST_FIRST:
        if network_shapes(backbone).keys() <= shapes.keys():
            for channels in (3, 1):
                if network_shapes(backbone, channels).items() <= shapes.items():
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
    return next((name for name in DEEPEST_FIRST if torchvision_shapes(name).items() <= shapes.items()), None)


def channels_of(state: Mapping[str, Tensor], backbone: str) -> int:
    """Return the number of image channels, 1 or 3, of the network whose weights these are."""
    stem = state.get(f"backbone.{stem_name(backbone)}.weight")
    return 1 if stem is not None and stem.dim() == 4 and stem.shape[1] == 1 else 3


class _NoRandomWeights(TorchFunctionMode):
    """Skips random initialization, which takes most of the time to build a network on the meta device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in (Tensor.normal_, Tensor.uniform_) else func(*args, **(kwargs or {}))


@functools.cache
def _on_meta(backbone: str, channels: int = 3) -> GeoLocalizationNet:
    with torch.device("meta"), _NoRandomWeights():
        return GeoLocalizationNet(backbone, 1, channels)


def stem_name(backbone: str) -> str:
    """Return the name of the backbone's first convolution."""
    return stem_of(_on_meta(backbone).backbone)


@functools.cache
def kept_names(backbone: str) -> tuple[str, ...]:
    """Return the names of the torchvision model's children that form the backbone, in order."""
    with torch.device("meta"), _NoRandomWeights():
        return tuple(kept_children(backbone))


def shapes_of(state: Mapping[str, Tensor]) -> Shapes:
    """Return shapes by key, without batch counters, which files written before torch 0.4.1 lack."""
    return {key: tuple(value.shape) for key, value in state.items() if not key.endswith("num_batches_tracked")}


@functools.cache
def network_shapes(backbone: str, channels: int = 3) -> Shapes:
    """Return the shapes of a network's backbone, by key of the network's state dict."""
    return shapes_of(_on_meta(backbone, channels).backbone.state_dict(prefix="backbone."))


@functools.cache
def torchvision_shapes(backbone: str) -> Shapes:
    """Return the shapes of a backbone, by key of the torchvision model's state dict."""
    names = kept_names(backbone)
    shapes: Shapes = {}
    for key, shape in network_shapes(backbone).items():
        number, _, rest = key.removeprefix("backbone.").partition(".")
        shapes[f"{names[int(number)]}.{rest}"] = shape
    return shapes
