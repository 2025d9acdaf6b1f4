"""Build, load and save networks with their weights."""

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
    statement_of,
    stem_name,
    torchvision_name,
)
from training.network.model import GeoLocalizationNet, freeze_early_layers
from training.network.preprocessing import Preprocessing
from training.network.settings import IMAGENET, RANDOM, NetworkSettings, model_file
from training.network.state_dict_files import read_state_dict, save_atomically
from training.network.timm_backbone import TimmBackbone, check_image_size

MAX_ERROR_CHARACTERS = 300
logger = logging.getLogger(__name__)


def build_network(settings: NetworkSettings, seed: int = 0, image_size: ImageSize | None = None) -> GeoLocalizationNet:
    """Return a network to train, on the CPU: random weights, then the given ones, then early layers frozen.

    Its file will state `image_size`, the size of the training images.

    Raises:
        UserError: Weights cannot be downloaded or read, or belong to another network, or the backbone does not take
            images of this size.
    """
    if image_size is not None:
        check_image_size(settings.backbone, image_size)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = GeoLocalizationNet(settings.backbone, settings.fc_output_dim, settings.channels)
    if settings.resume_model is not None:
        logger.info("weights from %s (resume_model); backbone_weights is ignored", settings.resume_model)
        _start_from_model(network, settings.resume_model, image_size)
    elif settings.backbone_weights != RANDOM:
        _load_backbone_weights(network, settings)
    network.set_image_size(image_size)
    if not settings.train_all_layers:
        freeze_early_layers(network, settings.train_blocks)
    return network


def load_network(path: Path, backbone: str, fc_output_dim: int) -> GeoLocalizationNet:
    """Return a trained network of a known backbone and dimension, in evaluation mode, on the CPU.

    Its channels are those of the weights, its preprocessing the one that the file states.

    Raises:
        UserError: The file cannot be read, or contains another network.
    """
    return _trained(read_model(path), path, backbone, fc_output_dim)


def load_model(path: Path | str) -> GeoLocalizationNet:
    """Return the trained network of a weights file, or of a model's or run's folder, as `load_network` does.

    Its backbone and dimension are found in the file.

    Raises:
        UserError: The file cannot be read, or contains no known network.
    """
    path = Path(path)
    state = read_model(path)
    found = _identify(state, path)
    return _trained(state, path, found.backbone, found.fc_output_dim)


def identify_model(path: Path) -> tuple[Identity, ImageSize | None]:
    """Return the network of a weights file, and the training image size that it states, if any.

    Raises:
        UserError: The file cannot be read, or contains no known network.
    """
    state = read_model(path)
    preprocessing = _stated_preprocessing(state, path)
    return _identify(state, path), preprocessing.image_size if preprocessing else None


def load_official(
    backbone: str, fc_output_dim: int | float | str, release_url: str = RELEASE_URL, progress: bool = True
) -> GeoLocalizationNet:
    """Return a network with the official weights, in evaluation mode, on the CPU.

    Raises:
        UserError: `fc_output_dim` is not a whole number, no such weights were published, or the download failed.
    """
    fc_output_dim = int(normalise("fc_output_dim", fc_output_dim, int))
    state = official_weights(backbone, fc_output_dim, release_url, progress)
    return _trained(state, Path(f"{backbone}_{fc_output_dim}_cosplace.pth"), backbone, fc_output_dim)


def save_network(network: GeoLocalizationNet, path: Path) -> None:
    """Save the state dict, with the official keys and on the CPU, atomically."""
    state = network.state_dict()
    for key, value in state.items():
        state[key] = value.detach().cpu().contiguous()
    save_atomically(state, path)


def read_model(path: Path) -> dict[str, Tensor]:
    """Return the state dict of a weights file, or of the folder of a published model or run.

    Raises:
        UserError: The file is missing, or is not a state dict.
    """
    try:
        file = model_file(path)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    return read_state_dict(file)


def fill(network: GeoLocalizationNet, state: Mapping[str, Tensor], path: Path) -> None:
    """Load the state dict, read from `path`, into the network.

    Raises:
        UserError: The state dict belongs to another network.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        wanted = Identity(network.name, network.fc_output_dim, network.preprocessing.channels)
        found = identify(state)
        if found and found != wanted:
            grey = " --grayscale" if found.channels == 1 else ""
            flags = f"--backbone {found.backbone} --fc-output-dim {found.fc_output_dim}{grey}"
            text = f"seems to contain {describe(state)}, not {wanted}. Give {flags}, or another file."
        elif torchvision_name(state):
            text = f"seems to contain {describe(state)}, not a CosPlace network. Give it with --backbone-weights."
        else:
            text = f"does not fit {wanted}: {_differences(error)}"
        raise UserError(f"{path} {text}") from error


def _differences(error: RuntimeError) -> str:
    """Return in one line the mismatched keys and shapes that torch lists, at most MAX_ERROR_CHARACTERS of it."""
    text = " ".join(str(error).partition("\n")[2].split())
    return text if len(text) <= MAX_ERROR_CHARACTERS else f"{text[:MAX_ERROR_CHARACTERS]}..."


def _identify(state: Mapping[str, Tensor], path: Path) -> Identity:
    found = identify(state)
    if found is None:
        raise UserError(f"{path} seems to contain {describe(state)}. Give a file of a CosPlace network.")
    return found


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
        logger.warning("%s was trained at image size %s; this run uses %s", path, stated.image_size, image_size)


def _load_backbone_weights(network: GeoLocalizationNet, settings: NetworkSettings) -> None:
    """Load the backbone from a state dict of the whole torchvision or timm model, without its classifier."""
    source, backbone = settings.backbone_weights, network.backbone
    state = {} if source == IMAGENET else read_state_dict(Path(source))
    wanted = network.name if isinstance(backbone, TimmBackbone) else f"torchvision's {network.name}"
    try:
        if isinstance(backbone, TimmBackbone):
            backbone.load_weights(state)
        else:
            renamed = _renamed(state or imagenet_weights(network.name), network.name)
            backbone.load_state_dict(_for_channels(renamed, stem_name(network.name), network, source))
    except RuntimeError as error:
        if identify(state):
            text = f"seems to contain {describe(state)}. Give it with --resume-model."
        elif torchvision_name(state):
            text = f"seems to contain {describe(state)}, not {wanted}. Change --backbone."
        else:
            text = f"does not fit {wanted}: {_differences(error)}"
        raise UserError(f"{source} {text}") from error


def _renamed(state: Mapping[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """Return the weights of a torchvision model's backbone, named as in a network's backbone."""
    return {
        f"{number}{key.removeprefix(name)}": value
        for number, name in enumerate(kept_names(backbone))
        for key, value in state.items()
        if key.startswith(f"{name}.")
    }


def _for_channels(
    state: Mapping[str, Tensor], stem: str, network: GeoLocalizationNet, source: Path | str
) -> Mapping[str, Tensor]:
    """Return the weights with those of the first convolution summed over colours if the network takes grayscale.

    A convolution of three equal channels is a convolution of one with the summed weights.
    """
    weights = state.get(key := f"{stem}.weight")
    if network.preprocessing.channels == 3 or weights is None or weights.dim() != 4 or weights.shape[1] != 3:
        return state
    logger.info("grayscale: summed the colour weights of the first convolution of %s", source)
    return {**state, key: weights.sum(dim=1, keepdim=True)}


def _stated_preprocessing(state: Mapping[str, Tensor], path: Path) -> Preprocessing | None:
    stated = statement_of(state).get("preprocessing")
    if stated is None:
        return None
    try:
        return Preprocessing.from_stated(stated)
    except UserError as error:
        raise UserError(f"{path} states {error}") from error
