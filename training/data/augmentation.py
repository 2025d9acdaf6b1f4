"""Augmentation of training images: colour jitter, then a random resized crop, each image its own.

What is drawn for an image, its `Change`, is a function of a seed, and is torchvision's own; it is applied to one image
here, by a worker process, or to a whole batch on a device (`batch_augmentation`). Normalisation is the third
step; it is the same for all images, so it waits until a batch of bytes is on the device.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms import v2

from training.data.jitter import BRIGHTNESS, CONTRAST, HUE, SATURATION, blend, grey_of, turn_hue
from training.settings import AugmentationSettings

SQUARE_RATIOS = (3 / 4, 4 / 3)  # how slim and how wide a crop may be that becomes a square


class Change(NamedTuple):
    """What is done to an image: four changes of colour in an order of their own, then a crop, in pixels."""

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
    def none(cls, height: int, width: int) -> Self:
        """Return what leaves the colours of an image of this size as they are, and crops nothing."""
        return cls((BRIGHTNESS, CONTRAST, SATURATION, HUE), 1.0, 1.0, 1.0, 0.0, 0, 0, height, width)


class Augmentation:
    """A random change of an image that is a function of a seed.

    Args:
        settings: The strengths, and the size that images come to.
        channels: What images come to: 3 for colours, 1 for shades of grey.
    """

    def __init__(self, settings: AugmentationSettings, channels: int = 3) -> None:
        self.size, self.channels = (settings.size.height, settings.size.width), channels
        height, width = self.size
        self._jitter = v2.ColorJitter(settings.brightness, settings.contrast, settings.saturation, settings.hue)
        self._crop = v2.RandomResizedCrop(
            self.size,
            scale=settings.crop_scale,
            ratio=tuple(side * width / height for side in SQUARE_RATIOS),
        )

    def draw(self, image: Tensor, seed: int) -> Change:
        """Return what is to be done to an image; of the image, only its size matters.

        torchvision's transforms take no generator: they draw from torch's global random state. So that state is
        seeded for the image and put back afterwards. Otherwise what an image looks like would depend on which worker
        process read it, on how many there are, and on what they read before; a resumed run could not be the same run.
        """
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            jitter, crop = self._jitter.make_params([image]), self._crop.make_params([image])
        factors = (jitter[f"{name}_factor"] for name in ("brightness", "contrast", "saturation"))
        brightness, contrast, saturation = (1.0 if factor is None else factor for factor in factors)
        hue = jitter["hue_factor"] or 0.0
        return Change(tuple(jitter["fn_idx"].tolist()), brightness, contrast, saturation, hue, **crop)

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """Map an image [3, h, w], uint8, to [channels, *size], uint8."""
        change = self.draw(image, seed)
        pixels = image.float()
        for step in change.order:
            _change_colours(pixels, change, step)
        if self.channels == 1:  # now, so that a jitter of the colours makes other shades of grey
            pixels = grey_of(pixels)
        below, right = change.top + change.height, change.left + change.width
        cropped = pixels[:, change.top : below, change.left : right].round_().to(torch.uint8)
        return interpolate(cropped[None], self.size, mode="bilinear", antialias=True)[0]


def _change_colours(pixels: Tensor, change: Change, step: int) -> None:
    """Take one of the four steps of colour jitter, in place."""
    if step == BRIGHTNESS and change.brightness != 1:
        blend(pixels, change.brightness, 0.0)
    elif step == CONTRAST and change.contrast != 1:
        blend(pixels, change.contrast, grey_of(pixels).mean())
    elif step == SATURATION and change.saturation != 1:
        blend(pixels, change.saturation, grey_of(pixels))
    elif step == HUE and change.hue:
        turn_hue(pixels, change.hue)
