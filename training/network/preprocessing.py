"""Preprocessing: how an image becomes the input of a network. A model file states it, so it needs no recipe."""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import pil_to_tensor

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
BILINEAR, BICUBIC = INTERPOLATIONS = ("bilinear", "bicubic")
MODES = {1: "L", 3: "RGB"}  # Pillow's modes, by the number of channels


@dataclass(frozen=True)
class Preprocessing:
    """The normalisation, size and interpolation of a network's training images."""

    mean: tuple[float, ...] = IMAGENET_MEAN  # by channel, of values from 0 to 1
    std: tuple[float, ...] = IMAGENET_STD
    image_size: ImageSize | None = None  # unknown for official weights
    interpolation: str = BILINEAR  # of resized images; or bicubic

    def of_channels(self, channels: int) -> Self:
        """Return the preprocessing itself for 3 channels, or for 1 its mean over the colours."""
        if channels == self.channels:
            return self
        mean, std = (sum(values) / len(values) for values in (self.mean, self.std))
        return dataclasses.replace(self, mean=(mean,) * channels, std=(std,) * channels)

    @property
    def channels(self) -> int:
        """The number of channels."""
        return len(self.mean)

    @property
    def mode(self) -> str:
        """Pillow's mode of the images: RGB or L."""
        return MODES[self.channels]

    def normalise(self, images: Tensor) -> Tensor:
        """Map images [..., channels, h, w] with values from 0 to 255 to normalised float32."""
        mean, std = _as_tensors(self.mean, self.std, images.device)
        return (images.float() / 255 - mean) / std

    def __call__(self, image: Any) -> Tensor:
        """Return a Pillow image, upright and in its own size, as a network input [1, channels, h, w]."""
        from data_manifest.images.open_picture import as_shown  # late: torch.hub does not require Pillow

        return self.normalise(pil_to_tensor(as_shown(image, self.mode)))[None]

    def stated(self) -> dict[str, Any]:
        """Return the preprocessing as plain values; the size as (rows, columns)."""
        size = self.image_size
        more = {} if self.interpolation == BILINEAR else {"interpolation": self.interpolation}
        return {"mean": self.mean, "std": self.std, "image_size": size and (size.height, size.width), **more}

    @classmethod
    def from_stated(cls, values: Any) -> Self:
        """Return the preprocessing that `stated` turned into plain values.

        Raises:
            UserError: The values are invalid.
        """
        try:
            mean, std, size = (values[name] for name in ("mean", "std", "image_size"))
            interpolation = values.get("interpolation", BILINEAR)
            size = ImageSize(*map(int, size)) if size else None
            found = cls(tuple(map(float, mean)), tuple(map(float, std)), size, interpolation)
            if len(found.mean) != len(found.std) or len(found.mean) not in MODES or min(found.std) <= 0:
                raise ValueError(values)
            if interpolation not in INTERPOLATIONS:
                raise ValueError(values)
        except (TypeError, ValueError, KeyError) as error:
            raise UserError(f"unknown preprocessing: {values}") from error
        return found


@functools.cache  # a copy to a GPU waits for all its queued work: once, not in each iteration
def _as_tensors(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.tensor(mean, device=device).view(-1, 1, 1), torch.tensor(std, device=device).view(-1, 1, 1)


def preprocessing_of(network: nn.Module) -> Preprocessing:
    """Return a network's preprocessing; ImageNet's for a module that has none."""
    found = getattr(network, "preprocessing", None)
    return found if isinstance(found, Preprocessing) else Preprocessing()
