"""Weights of networks: where they come from, and what a file that does not fit seems to hold."""

import functools
import http.client
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from torch import Tensor

from data_manifest.errors import UserError
from training.network.files import read_state_dict, save_whole
from training.network.model import GeoLocalizationNet, freeze_early_layers, kept_children
from training.settings import BACKBONES, IMAGENET, RANDOM, NetworkSettings

logger = logging.getLogger(__name__)
Shapes = dict[str, tuple[int, ...]]


def build_network(settings: NetworkSettings, seed: int = 0) -> GeoLocalizationNet:
    """Return a network to train, on the CPU: random values from `seed`, then weights, then early layers frozen.

    Raises:
        UserError: Weights cannot be downloaded or read, or belong to another network.
    """
    with torch.random.fork_rng(devices=[]):  # the caller's random state is not ours to change
        torch.default_generator.manual_seed(seed)
        network = GeoLocalizationNet(settings.backbone, settings.fc_output_dim)
    if settings.resume_model is not None:
        logger.info("all weights come from resume_model = %s, none from backbone_weights", settings.resume_model)
        load_into(network, settings.resume_model, settings.backbone)
    elif settings.backbone_weights != RANDOM:
        _load_backbone_weights(network, settings)
    if not settings.train_all_layers:
        freeze_early_layers(network, settings.backbone)
    return network


def load_network(path: Path, backbone: str, fc_output_dim: int) -> GeoLocalizationNet:
    """Return a trained network in evaluation mode, on the CPU, from a state dict with the official keys.

    Raises:
        UserError: The file cannot be read, or holds another network.
    """
    network = GeoLocalizationNet(backbone, fc_output_dim)
    load_into(network, path, backbone)
    return network.eval()


def save_network(network: GeoLocalizationNet, path: Path) -> None:
    """Save a plain state dict with the official keys, on the CPU; the file appears whole or not at all."""
    save_whole({key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}, path)


def load_into(network: GeoLocalizationNet, path: Path, backbone: str) -> None:
    """Fill a network from a state dict with the official keys."""
    state = read_state_dict(path, "--resume-model")
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"{path} seems to hold {describe(state)}; it cannot fill {backbone} with fc_output_dim "
            f"{network.fc_output_dim}: change --backbone and --fc-output-dim, or the file"
        ) from error


def _load_backbone_weights(network: GeoLocalizationNet, settings: NetworkSettings) -> None:
    """Fill the backbone from a state dict of the whole torchvision model; its classifier is left out."""
    source = settings.backbone_weights
    state = _download(settings.backbone) if source == IMAGENET else read_state_dict(Path(source), "--backbone-weights")
    renamed = {
        f"{number}{key.removeprefix(name)}": value
        for number, name in enumerate(kept_names(settings.backbone))
        for key, value in state.items()
        if key.startswith(f"{name}.")
    }
    try:
        network.backbone.load_state_dict(renamed)
    except RuntimeError as error:
        raise UserError(
            f"{source} seems to hold {describe(state)}; it cannot be the weights of torchvision's {settings.backbone}: "
            "change --backbone or --backbone-weights (a trained CosPlace network goes to --resume-model)"
        ) from error


def _download(backbone: str) -> Mapping[str, Tensor]:
    """Return torchvision's best ImageNet weights, downloaded once and then cached by torch.hub."""
    weights = torchvision.models.get_model_weights(BACKBONES[backbone].torchvision_name).DEFAULT
    try:
        state: Mapping[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise UserError(
            f"the ImageNet weights of {backbone} cannot be downloaded from {weights.url}: {error}; give a file of them "
            "with --backbone-weights PATH, or start from random weights with --backbone-weights none"
        ) from error
    return state


@functools.cache
def kept_names(backbone: str) -> tuple[str, ...]:
    """Return the names, in the torchvision model, of the children that make the backbone, in order."""
    with torch.device("meta"):
        return tuple(kept_children(backbone))


def describe(state: Mapping[str, Tensor]) -> str:
    """Say in words what a state dict seems to hold, judged by its keys and shapes."""
    shapes = _shapes_of(state)
    dim = shapes.get("aggregation.3.bias", (0,))[0]
    # From deep to shallow, because all layers of ResNet50 are found in ResNet101 too.
    for backbone in sorted(BACKBONES, key=lambda name: len(_network_shapes(name)), reverse=True):
        if _network_shapes(backbone).items() <= shapes.items():
            return f"a CosPlace network, {backbone} with fc_output_dim {dim}"
        if _torchvision_shapes(backbone).items() <= shapes.items():
            return f"torchvision's {backbone}"
    return f"no network known here (its first keys are {', '.join(list(state)[:3])})"


def _shapes_of(state: Mapping[str, Tensor]) -> Shapes:
    """Return shapes by key, without the counters that files from before torch 0.4.1 lack."""
    return {key: tuple(value.shape) for key, value in state.items() if not key.endswith("num_batches_tracked")}


@functools.cache
def _network_shapes(backbone: str) -> Shapes:
    with torch.device("meta"):
        return _shapes_of(GeoLocalizationNet(backbone, 1).backbone.state_dict(prefix="backbone."))


@functools.cache
def _torchvision_shapes(backbone: str) -> Shapes:
    names = kept_names(backbone)
    shapes: Shapes = {}
    for key, shape in _network_shapes(backbone).items():
        number, _, rest = key.removeprefix("backbone.").partition(".")
        shapes[f"{names[int(number)]}.{rest}"] = shape
    return shapes
