"""Augmentation of one image: colour jitter, then a random resized crop.

The parameters are torchvision's own, drawn from a seed. `batch_augmentation` applies the same ones to a whole batch.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms import v2

from training.data.jitter import BRIGHTNESS, CONTRAST, HUE, SATURATION, blend, grey_of, turn_hue
from training.data.settings import AugmentationSettings
from training.network.preprocessing import BILINEAR

SQUARE_RATIOS = (3 / 4, 4 / 3)  # range of a crop's width / height, for square images


class AugmentationParams(NamedTuple):
    """The parameters of one image's augmentation: colour jitter in a random order, then a crop in pixels."""

    order: tuple[int, ...]
    brightness: float
    contrast: float
    saturation: float
    hue: float
    top: int
    left: int
    height: int
    width: int

    @classmethod
    def identity(cls, height: int, width: int) -> Self:
        """Return the parameters that change nothing in an image of this size."""
        return cls((BRIGHTNESS, CONTRAST, SATURATION, HUE), 1.0, 1.0, 1.0, 0.0, 0, 0, height, width)


class Augmentation:
    """A random augmentation that depends only on the seed.

    `channels` of the result are 3, or 1 for grayscale; `interpolation` of crops is bilinear or bicubic.
    """

    def __init__(self, settings: AugmentationSettings, channels: int = 3, interpolation: str = BILINEAR) -> None:
        self.size, self.channels = (settings.size.height, settings.size.width), channels
        self.interpolation = interpolation
        height, width = self.size
        self._jitter = v2.ColorJitter(settings.brightness, settings.contrast, settings.saturation, settings.hue)
        self._crop = v2.RandomResizedCrop(
            self.size,
            scale=settings.crop_scale,
            ratio=tuple(side * width / height for side in SQUARE_RATIOS),
        )

    def draw(self, image: Tensor, seed: int) -> AugmentationParams:
        """Return the parameters for an image, of which only the size matters.

        torchvision draws from torch's global random state, so that is seeded here and restored afterwards.
        """
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            jitter, crop = self._jitter.make_params([image]), self._crop.make_params([image])
        factors = (jitter[f"{name}_factor"] for name in ("brightness", "contrast", "saturation"))
        brightness, contrast, saturation = (1.0 if factor is None else factor for factor in factors)
        hue = jitter["hue_factor"] or 0.0
        return AugmentationParams(tuple(jitter["fn_idx"].tolist()), brightness, contrast, saturation, hue, **crop)

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """Map an image [3, h, w], uint8, to [channels, *size], uint8."""
        params = self.draw(image, seed)
        pixels = image.float()
        for step in params.order:
            _jitter(pixels, params, step)
        if self.channels == 1:  # after the jitter, which changes the shades of grey
            pixels = grey_of(pixels)
        bottom, right = params.top + params.height, params.left + params.width
        cropped = pixels[:, params.top : bottom, params.left : right].round_().to(torch.uint8)
        return interpolate(cropped[None], self.size, mode=self.interpolation, antialias=True)[0]


def _jitter(pixels: Tensor, params: AugmentationParams, step: int) -> None:
    """Apply one of the four steps of colour jitter, in place."""
    if step == BRIGHTNESS and params.brightness != 1:
        blend(pixels, params.brightness, 0.0)
    elif step == CONTRAST and params.contrast != 1:
        blend(pixels, params.contrast, grey_of(pixels).mean())
    elif step == SATURATION and params.saturation != 1:
        blend(pixels, params.saturation, grey_of(pixels))
    elif step == HUE and params.hue:
        turn_hue(pixels, params.hue)
