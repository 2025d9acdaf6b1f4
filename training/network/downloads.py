"""Download weights into torch.hub's cache: torchvision's ImageNet weights and the official CosPlace weights."""

import contextlib
import http.client
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from torch import Tensor

from data_manifest.errors import UserError
from training.network.backbones import BACKBONES, OFFICIAL_DIMS
from training.network.state_dict_files import UNREADABLE, load_verified, read_state_dict

RELEASE_URL = "https://github.com/gmberton/CosPlace/releases/download/v1.0"
FAILURES = (*UNREADABLE, http.client.HTTPException)


def imagenet_weights(backbone: str) -> Mapping[str, Tensor]:
    """Return torchvision's default ImageNet weights of a backbone.

    Raises:
        UserError: The download failed.
    """
    weights = torchvision.models.get_model_weights(BACKBONES[backbone].torchvision_name).DEFAULT
    try:
        state: Mapping[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except FAILURES as error:
        raise UserError(
            f"Cannot download the ImageNet weights of {backbone} from {weights.url}: "
            f"{_reason(error, cached_file(weights.url))}. Give a file of them with --backbone-weights PATH, or start "
            "from random weights with --backbone-weights none."
        ) from error
    return state


def official_weights(backbone: str, fc_output_dim: int, release_url: str, progress: bool) -> dict[str, Tensor]:
    """Return the official state dict of a backbone and a descriptor dimension; raises as `official_file` does."""
    return read_state_dict(official_file(backbone, fc_output_dim, release_url, progress))


def official_file(backbone: str, fc_output_dim: int, release_url: str = RELEASE_URL, progress: bool = True) -> Path:
    """Return the file that the authors of CosPlace have published, downloaded once into torch.hub's cache.

    Raises:
        UserError: No such weights were published, or the download failed.
    """
    check_published(backbone, fc_output_dim)
    url = f"{release_url.rstrip('/')}/{backbone}_{fc_output_dim}_cosplace.pth"
    path = cached_file(url)
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), progress=progress)
        load_verified(path)  # an interrupted download may leave half a file
    except FAILURES as error:
        raise UserError(
            f"Cannot download the official weights of {backbone} with fc_output_dim {fc_output_dim} from {url}: "
            f"{_reason(error, path)}. Try again, or download the file in another way and load it by its path."
        ) from error
    return path


def check_published(backbone: str, fc_output_dim: int) -> None:
    """Raise UserError, with the list of official weights, unless these were published."""
    if fc_output_dim not in OFFICIAL_DIMS.get(backbone, ()):
        lists = "; ".join(f"{name}: {', '.join(map(str, dims))}" for name, dims in OFFICIAL_DIMS.items())
        raise UserError(
            f"There are no official weights of {backbone} with fc_output_dim {fc_output_dim}. Published values of "
            f"fc_output_dim: {lists}"
        )


def cached_file(url: str) -> Path:
    """Return the path of a download in torch.hub's cache."""
    return Path(torch.hub.get_dir(), "checkpoints", Path(urllib.parse.urlparse(url).path).name)


def _reason(error: BaseException, cached: Path) -> str:
    """Return in one line why a download failed; remove a broken cached file, so that the next try can succeed."""
    first_line = str(error).strip().partition("\n")[0] or type(error).__name__
    try:
        if cached.exists():
            load_verified(cached)
    except UNREADABLE:
        with contextlib.suppress(OSError):
            cached.unlink()
            return f"the download was incomplete or damaged ({cached}, now removed)"
    return first_line.rstrip(".")
