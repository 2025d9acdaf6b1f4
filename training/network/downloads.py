"""Weights from elsewhere: torchvision's of ImageNet, and the official ones of CosPlace; torch.hub keeps both."""

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
from training.network.state_dict_files import UNREADABLE, load_whole, read_state_dict

RELEASE_URL = "https://github.com/gmberton/CosPlace/releases/download/v1.0"
FAILURES = (*UNREADABLE, http.client.HTTPException)


def imagenet_weights(backbone: str) -> Mapping[str, Tensor]:
    """Return the best ImageNet weights of torchvision's model.

    Raises:
        UserError: They cannot be downloaded, or what was downloaded is broken.
    """
    weights = torchvision.models.get_model_weights(BACKBONES[backbone].torchvision_name).DEFAULT
    try:
        state: Mapping[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except FAILURES as error:
        raise UserError(
            f"the ImageNet weights of {backbone} cannot be downloaded from {weights.url}: "
            f"{_reason(error, kept_file(weights.url))}; give a file of them with --backbone-weights PATH, "
            "or start from random weights with --backbone-weights none"
        ) from error
    return state


def official_weights(backbone: str, fc_output_dim: int, release_url: str, progress: bool) -> dict[str, Tensor]:
    """Return the state dict that the authors of CosPlace have published for a backbone and a length of descriptors.

    Raises:
        UserError: There is none, it cannot be downloaded, or what was downloaded is broken.
    """
    refuse_unpublished(backbone, fc_output_dim)
    url = f"{release_url.rstrip('/')}/{backbone}_{fc_output_dim}_cosplace.pth"
    path = kept_file(url)
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), progress=progress)
        load_whole(path)  # a connection that broke off may leave half a file, and torch looks at no checksum
    except FAILURES as error:
        raise UserError(
            f"the official weights of {backbone} with fc_output_dim {fc_output_dim} cannot be downloaded from {url}: "
            f"{_reason(error, path)}; try again, or download the file in another way and load it by its path"
        ) from error
    return read_state_dict(path)


def refuse_unpublished(backbone: str, fc_output_dim: int) -> None:
    """Check that there are official weights.

    Raises:
        UserError: There are none; the message has all that there are.
    """
    if fc_output_dim not in OFFICIAL_DIMS.get(backbone, ()):
        lists = "; ".join(f"{name}: {', '.join(map(str, dims))}" for name, dims in OFFICIAL_DIMS.items())
        raise UserError(
            f"there are no official weights of {backbone} with fc_output_dim {fc_output_dim}. There are, by backbone "
            f"and fc_output_dim: {lists}"
        )


def kept_file(url: str) -> Path:
    """Return where torch.hub keeps what it has downloaded from a URL."""
    return Path(torch.hub.get_dir(), "checkpoints", Path(urllib.parse.urlparse(url).path).name)


def _reason(error: BaseException, kept: Path) -> str:
    """Return why a download failed, in a line; a broken file that it left is removed, or it would never be mended."""
    first_line = str(error).strip().partition("\n")[0] or type(error).__name__
    try:
        if kept.exists():
            load_whole(kept)
    except UNREADABLE:
        with contextlib.suppress(OSError):
            kept.unlink()
            return f"{kept}, which was kept of it, is broken, and has been removed"
    return first_line
