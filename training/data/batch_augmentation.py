"""Augmentation of a whole batch on the network's device, in as many operations for a thousand images as for one.

The changes are those that a worker process would make one by one, in float32 and rounded nowhere. Colours change in
four steps. A step is one blend for all images, with whatever each is blended with and by its own factor; those whose
hue is due are taken out and turned together. Which ones is known before the batch goes to the device, so that nothing
is read back from there.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from training.data.augmentation import Change
from training.data.jitter import CONTRAST, HUE, SATURATION, blend, grey_of, turn_hue
from training.data.resampling import crop_and_resize

STEPS = 4
ORDER, FACTORS, BOX, SIZE = slice(0, 4), slice(4, 8), slice(8, 12), slice(12, 14)  # columns of packed changes


def pack(images: Sequence[Tensor], changes: Sequence[Change]) -> tuple[Tensor, Tensor]:
    """Return images of any sizes as a batch, filled up with 0 below and to the right, and their changes as a table."""
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    padded = [pad(image, (0, width - image.shape[2], 0, height - image.shape[1])) for image in images]
    rows = [
        (*change.order, *change[1:], image.shape[1], image.shape[2])
        for image, change in zip(images, changes, strict=True)
    ]
    return torch.stack(padded), torch.tensor(rows, dtype=torch.float64)


def augment_batch(images: Tensor, changes: Tensor, size: tuple[int, int], channels: int = 3) -> Tensor:
    """Map images [b, 3, h, w], uint8, to [b, channels, *size], float32, from 0 to 255.

    Args:
        images: On the device.
        changes: What `pack` gave, on the CPU.
        size: Height and width.
        channels: 3 for colours, 1 for shades of grey.
    """
    pixels = images.float()
    on_device = changes.to(torch.float32).to(images.device, non_blocking=True)
    areas = on_device[:, SIZE].prod(dim=1).view(-1, 1, 1, 1)
    for step in range(STEPS):
        due = changes[:, ORDER][:, step].long()
        _blend_each(pixels, due, changes[:, FACTORS], areas)
        _turn_those_due(pixels, torch.nonzero(due == HUE).flatten(), changes[:, FACTORS][:, HUE])
    pixels = pixels if channels == 3 else grey_of(pixels)
    return crop_and_resize(pixels, on_device[:, BOX], size)


def _blend_each(pixels: Tensor, due: Tensor, factors: Tensor, areas: Tensor) -> None:
    """Change brightness, contrast or saturation, whichever is due for an image; a factor of 1 for those at hue."""
    factor = factors.gather(1, due[:, None]).flatten().where(due != HUE, 1.0)
    columns = torch.stack([factor, due == CONTRAST, due == SATURATION])
    by_factor, to_mean, to_grey = _each(columns, pixels.device)
    grey = grey_of(pixels)
    # What fills an image up is black until its contrast changes, and after that its mean is asked for no more.
    mean = grey.sum(dim=(1, 2, 3), keepdim=True) / areas
    blend(pixels, by_factor, grey * to_grey + mean * to_mean)


def _turn_those_due(pixels: Tensor, images: Tensor, turns: Tensor) -> None:
    turned_by = turns[images].to(torch.float32).to(pixels.device, non_blocking=True).view(-1, 1, 1)
    images = images.to(pixels.device, non_blocking=True)
    some = pixels[images]
    turn_hue(some, turned_by)
    pixels[images] = some


def _each(columns: Tensor, device: torch.device) -> Sequence[Tensor]:
    """Return numbers of the images as factors of a batch: [b, 1, 1, 1] each, on the device."""
    return columns.to(torch.float32).to(device, non_blocking=True).view(*columns.shape, 1, 1, 1).unbind()
