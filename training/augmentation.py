"""Augmentation of training images: colour jitter, then a random resized crop, each image its own.

Normalisation is the third step; it is the same for all images, so it waits until a batch of bytes is on the device.
"""

import torch
from torch import Tensor
from torchvision.transforms import v2

from training.settings import AugmentationSettings

SQUARE_RATIOS = (3 / 4, 4 / 3)  # how slim and how wide a crop may be that becomes a square


class Augmentation:
    """A random change of an image that is a function of a seed."""

    def __init__(self, settings: AugmentationSettings) -> None:
        size = settings.size
        ratio = tuple(side * size.width / size.height for side in SQUARE_RATIOS)
        self._change = v2.Compose(
            [
                v2.ColorJitter(settings.brightness, settings.contrast, settings.saturation, settings.hue),
                v2.RandomResizedCrop(
                    (size.height, size.width), scale=(settings.random_resized_crop, 1.0), ratio=ratio, antialias=True
                ),
            ]
        )

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """Map an image [channels, h, w], uint8, to [channels, height, width], uint8.

        torchvision's transforms take no generator: they draw from torch's global random state. So that state is
        seeded for the image and put back afterwards. Otherwise what an image looks like would depend on which worker
        process read it, on how many there are, and on what they read before; a resumed run could not be the same run.
        """
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            changed: Tensor = self._change(image)
        return changed
