"""Augmentation of training images: colour jitter, then a random resized crop, each image its own.

Normalisation is the third step; it is the same for all images, so it waits until a batch of bytes is on the device.
"""

import torch
from torch import Tensor
from torchvision.transforms import v2

from training.settings import AugmentationSettings


class Augmentation:
    """A random change of an image that is a function of a seed."""

    def __init__(self, settings: AugmentationSettings) -> None:
        side = settings.image_size
        self._change = v2.Compose(
            [
                v2.ColorJitter(settings.brightness, settings.contrast, settings.saturation, settings.hue),
                v2.RandomResizedCrop((side, side), scale=(settings.random_resized_crop, 1.0), antialias=True),
            ]
        )

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """Map an image [3, h, w], uint8, to [3, image_size, image_size], uint8.

        torchvision's transforms take no generator: they draw from torch's global random state. So that state is
        seeded for the image and put back afterwards. Otherwise what an image looks like would depend on which worker
        process read it, on how many there are, and on what they read before; a resumed run could not be the same run.
        """
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            changed: Tensor = self._change(image)
        return changed
