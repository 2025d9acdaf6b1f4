"""Weights of networks: where they come from, and whether they fit."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from data_manifest.settings import normalise
from training.network.downloads import RELEASE_URL, imagenet_weights, official_weights
from training.network.identify import (
    Identity,
    channels_of,
    describe,
    identify,
    kept_names,
    shapes_of,
    statement_of,
    stem_name,
    torchvision_name,
    torchvision_shapes,
)
from training.network.model import GeoLocalizationNet, freeze_early_layers
from training.network.preprocessing import Preprocessing
from training.network.settings import IMAGENET, RANDOM, NetworkSettings, model_file
from training.network.state_dict_files import read_state_dict, save_whole
from training.network.state_dicts import differences

logger = logging.getLogger(__name__)


def build_network(settings: NetworkSettings, seed: int = 0, image_size: ImageSize | None = None) -> GeoLocalizationNet:
    """Return a network to train, on the CPU: random values from `seed`, then weights, then early layers frozen.

    Args:
        settings: Which network, and its weights.
        seed: Of the values that no weights are given for.
        image_size: Of the images that it is to be trained on: its file will state it.

    Raises:
        UserError: Weights cannot be downloaded or read, or belong to another network.
    """
    with torch.random.fork_rng(devices=[]):  # the caller's random state is not ours to change
        torch.default_generator.manual_seed(seed)
        network = GeoLocalizationNet(settings.backbone, settings.fc_output_dim, settings.channels)
    if settings.resume_model is not None:
        logger.info("all weights come from resume_model = %s, none from backbone_weights", settings.resume_model)
        _start_from_model(network, settings.resume_model, image_size)
    elif settings.backbone_weights != RANDOM:
        _load_backbone_weights(network, settings)
    network.trained_on(image_size)
    if not settings.train_all_layers:
        freeze_early_layers(network)
    return network


def load_network(path: Path, backbone: str, fc_output_dim: int) -> GeoLocalizationNet:
    """Return a trained network in evaluation mode, on the CPU, from a state dict with the official keys.

    It takes images in shades of grey if its weights do, and its preprocessing is what the file states.

    Raises:
        UserError: The file cannot be read, or holds another network.
    """
    return _trained(read_model(path), path, backbone, fc_output_dim)


def load_model(path: Path | str) -> GeoLocalizationNet:
    """Return a trained network as `load_network` does, with backbone and length of descriptors found in the file.

    The path may be that of a file, or of the folder of a published model or of a run.

    Raises:
        UserError: The file cannot be read, or holds no network known here.
    """
    path = Path(path)
    state = read_model(path)
    found = identify(state)
    if found is None:
        raise UserError(f"{path} seems to hold {describe(state)}; give a file of a CosPlace network")
    return _trained(state, path, found.backbone, found.fc_output_dim)


def load_official(
    backbone: str, fc_output_dim: int | float | str, release_url: str = RELEASE_URL, progress: bool = True
) -> GeoLocalizationNet:
    """Return a network in evaluation mode, on the CPU, with the weights that the authors of CosPlace have published.

    Args:
        backbone: A backbone with official weights.
        fc_output_dim: Length of a descriptor: 2048, 2048.0 and "2048" mean the same.
        release_url: Base URL of the files.
        progress: Whether to show the progress of a download.

    Raises:
        UserError: `fc_output_dim` is not a whole number, there are no such weights, or they cannot be downloaded.
    """
    fc_output_dim = int(normalise("fc_output_dim", fc_output_dim, int))
    state = official_weights(backbone, fc_output_dim, release_url, progress)
    return _trained(state, Path(f"{backbone}_{fc_output_dim}_cosplace.pth"), backbone, fc_output_dim)


def stated_image_size(path: Path) -> ImageSize | None:
    """Return the size of images that a model's file says it was trained on; None for files that do not say.

    Raises:
        UserError: The file cannot be read.
    """
    preprocessing = _stated_preprocessing(read_model(path), path)
    return preprocessing.image_size if preprocessing else None


def save_network(network: GeoLocalizationNet, path: Path) -> None:
    """Save a state dict with the official keys, on the CPU; the file appears whole or not at all."""
    state = network.state_dict()
    for key, value in state.items():
        state[key] = value.detach().cpu().contiguous()
    save_whole(state, path)


def read_model(path: Path) -> dict[str, Tensor]:
    """Return the state dict of a model: of a file, or of the folder of a published model or of a run.

    Raises:
        UserError: There is no such file, or it holds something else.
    """
    try:
        file = model_file(path)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    return read_state_dict(file)


def fill(network: GeoLocalizationNet, state: Mapping[str, Tensor], path: Path) -> None:
    """Fill a network from a state dict with the official keys, which was read from a path.

    Raises:
        UserError: It is one of another network.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).strip().rpartition("\n")[2].strip()
        raise UserError(f"{path} {_misfit(network, state) or reason}") from error


def _misfit(network: GeoLocalizationNet, state: Mapping[str, Tensor]) -> str:
    """Return why a state dict does not fit a network: another network's, or the keys that differ."""
    wanted = Identity(network.name, network.fc_output_dim, network.preprocessing.channels)
    found = identify(state)
    if found and found != wanted:
        grey = " --grayscale" if found.channels == 1 else ""
        flags = f"--backbone {found.backbone} --fc-output-dim {found.fc_output_dim}{grey}"
        return f"seems to hold {describe(state)}; it cannot fill {wanted}: give {flags}, or another file"
    if torchvision_name(state):
        return f"seems to hold {describe(state)}, not a CosPlace network: give it with --backbone-weights"
    found_differences = differences(shapes_of(state), shapes_of(network.state_dict()))
    return found_differences and f"does not fit {wanted}: {found_differences}"


def _trained(state: Mapping[str, Tensor], path: Path, backbone: str, fc_output_dim: int) -> GeoLocalizationNet:
    network = GeoLocalizationNet(backbone, fc_output_dim, channels_of(state, backbone))
    fill(network, state, path)
    network.preprocessing = _stated_preprocessing(state, path) or network.preprocessing
    return network.eval()


def _start_from_model(network: GeoLocalizationNet, path: Path, image_size: ImageSize | None) -> None:
    state = read_model(path)
    fill(network, _for_channels(state, f"backbone.{stem_name(network.name)}", network, path), path)
    stated = _stated_preprocessing(state, path)
    if stated and stated.image_size and image_size and stated.image_size != image_size:
        logger.warning("%s was trained on images of %s, and is now on %s", path, stated.image_size, image_size)


def _load_backbone_weights(network: GeoLocalizationNet, settings: NetworkSettings) -> None:
    """Fill the backbone from a state dict of the whole torchvision model; its classifier is left out."""
    source = settings.backbone_weights
    is_imagenet = source == IMAGENET
    state = imagenet_weights(network.name) if is_imagenet else read_state_dict(Path(source))
    renamed = {
        f"{number}{key.removeprefix(name)}": value
        for number, name in enumerate(kept_names(network.name))
        for key, value in state.items()
        if key.startswith(f"{name}.")
    }
    try:
        network.backbone.load_state_dict(_for_channels(renamed, stem_name(network.name), network, source))
    except RuntimeError as error:
        if identify(state):
            text = f"{source} seems to hold {describe(state)}: give it with --resume-model"
        elif torchvision_name(state):
            text = f"{source} seems to hold {describe(state)}, not torchvision's {network.name}: change --backbone"
        else:
            expected = torchvision_shapes(network.name)
            text = f"{source} does not fit torchvision's {network.name}: {differences(shapes_of(state), expected)}"
        raise UserError(text) from error


def _for_channels(
    state: Mapping[str, Tensor], stem: str, network: GeoLocalizationNet, source: Path | str
) -> Mapping[str, Tensor]:
    """Return weights for colours as weights for shades of grey, where the network takes those.

    Three equal channels are summed up by the convolution; so its weights for the three are added up beforehand.
    """
    weights = state.get(key := f"{stem}.weight")
    if network.preprocessing.channels == 3 or weights is None or weights.dim() != 4 or weights.shape[1] != 3:
        return state
    logger.info("grayscale: the weights for colours in the first convolution of %s are added up", source)
    return {**state, key: weights.sum(dim=1, keepdim=True)}


def _stated_preprocessing(state: Mapping[str, Tensor], path: Path) -> Preprocessing | None:
    stated = statement_of(state).get("preprocessing")
    if stated is None:
        return None
    try:
        return Preprocessing.from_stated(stated)
    except UserError as error:
        raise UserError(f"{path} states {error}") from error
