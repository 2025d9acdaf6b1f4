"""What the network expects: the device that it runs on, and images normalised as ImageNet's are."""

import functools

import torch
from torch import Tensor

from data_manifest.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
Statistics = tuple[tuple[float, ...], tuple[float, ...]]


def resolve_device(device: str) -> torch.device:
    """Return the device that "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:<number>" means here.

    Raises:
        UserError: There is no such GPU.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device("cuda" if gpus else "cpu")
    resolved = torch.device(device)
    if resolved.type == "cuda" and (resolved.index or 0) >= gpus:
        raise UserError(f"--device = {device}: torch sees {gpus} GPUs here; give --device auto or --device cpu")
    return resolved


def imagenet_statistics(channels: int) -> Statistics:
    """Return means and standard deviations of channels: those of ImageNet's colours, or their means for one of grey."""
    if channels == len(IMAGENET_MEAN):
        return IMAGENET_MEAN, IMAGENET_STD
    mean, std = (sum(values) / len(values) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (mean,) * channels, (std,) * channels


def normalise(images: Tensor, statistics: Statistics | None = None) -> Tensor:
    """Map images [..., channels, h, w] of uint8 to float32, with mean 0 and standard deviation 1 over ImageNet.

    Args:
        images: Of three channels, or one of grey.
        statistics: Other means and standard deviations of the channels, of values from 0 to 1.
    """
    mean, std = _as_tensors(statistics or imagenet_statistics(images.shape[-3]), images.device)
    return (images.float() / 255 - mean) / std


@functools.cache  # a copy to a GPU waits for all that it has still to do: once, not in each iteration
def _as_tensors(statistics: Statistics, device: torch.device) -> tuple[Tensor, Tensor]:
    mean, std = (torch.tensor(values, device=device).view(-1, 1, 1) for values in statistics)
    return mean, std
