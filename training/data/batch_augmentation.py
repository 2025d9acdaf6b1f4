"""Augmentation of a whole batch on the network's device, with a number of operations independent of the batch size.

Results equal those of `augmentation`, up to rounding. All decisions are taken on the CPU, so that nothing is read back
from the device.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from training.data.augmentation import AugmentationParams
from training.data.jitter import CONTRAST, HUE, SATURATION, blend, grey_of, turn_hue
from training.network.preprocessing import BILINEAR

STEPS = 4
ORDER, FACTORS, BOX, SIZE = slice(0, 4), slice(4, 8), slice(8, 12), slice(12, 14)  # columns of the packed parameters


def pack(images: Sequence[Tensor], params: Sequence[AugmentationParams]) -> tuple[Tensor, Tensor]:
    """Return images of any sizes as a batch, zero-padded below and to the right, and their parameters as a table."""
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    padded = [pad(image, (0, width - image.shape[2], 0, height - image.shape[1])) for image in images]
    rows = [
        (*each.order, *each[1:], image.shape[1], image.shape[2]) for image, each in zip(images, params, strict=True)
    ]
    return torch.stack(padded), torch.tensor(rows, dtype=torch.float64)


def augment_batch(
    images: Tensor, params: Tensor, size: tuple[int, int], channels: int = 3, interpolation: str = BILINEAR
) -> Tensor:
    """Map images [b, 3, h, w], uint8, to [b, channels, *size], float32, from 0 to 255.

    Args:
        images: Batch from `pack`, on the device.
        params: Parameters from `pack`, on the CPU.
        size: Height and width of the result.
        channels: 3 for colour, 1 for grayscale.
        interpolation: bilinear or bicubic.
    """
    pixels = images.float()
    on_device = params.to(torch.float32).to(images.device, non_blocking=True)
    areas = on_device[:, SIZE].prod(dim=1).view(-1, 1, 1, 1)
    for step in range(STEPS):
        kinds = params[:, ORDER][:, step].long()
        _blend_each(pixels, kinds, params[:, FACTORS], areas)
        _turn_hues(pixels, torch.nonzero(kinds == HUE).flatten(), params[:, FACTORS][:, HUE])
    pixels = pixels if channels == 3 else grey_of(pixels)
    return crop_and_resize(pixels, on_device[:, BOX], size, interpolation)


def _blend_each(pixels: Tensor, kinds: Tensor, factors: Tensor, areas: Tensor) -> None:
    """Apply each image's brightness, contrast or saturation, in place; images with kind HUE stay unchanged."""
    factor = factors.gather(1, kinds[:, None]).flatten().where(kinds != HUE, 1.0)
    columns = torch.stack([factor, kinds == CONTRAST, kinds == SATURATION])
    by_factor, to_mean, to_grey = _to_device(columns, pixels.device)
    grey = grey_of(pixels)
    # The padding is black until an image's contrast changes; its mean is not used after that.
    mean = grey.sum(dim=(1, 2, 3), keepdim=True) / areas
    blend(pixels, by_factor, grey * to_grey + mean * to_mean)


def _turn_hues(pixels: Tensor, images: Tensor, turns: Tensor) -> None:
    turns = turns[images].to(torch.float32).to(pixels.device, non_blocking=True).view(-1, 1, 1)
    images = images.to(pixels.device, non_blocking=True)
    some = pixels[images]
    turn_hue(some, turns)
    pixels[images] = some


def _to_device(columns: Tensor, device: torch.device) -> Sequence[Tensor]:
    """Return numbers per image [n, b] as n factors of a batch, [b, 1, 1, 1] each, on the device."""
    return columns.to(torch.float32).to(device, non_blocking=True).view(*columns.shape, 1, 1, 1).unbind()


def resampling_matrices(
    begins: Tensor, lengths: Tensor, num_from: int, num_to: int, interpolation: str = BILINEAR
) -> Tensor:
    """Return matrices [b, num_to, num_from] that resample a part of each line, antialiased.

    A new pixel is a weighted mean under a triangle (bilinear) or a cubic (bicubic) around its position, two or four old
    or new pixels wide, whichever is wider.

    Args:
        begins: First pixel of each part: [b].
        lengths: Pixels of each part: [b].
        num_from: Pixels of a line.
        num_to: Pixels of a new line.
        interpolation: bilinear or bicubic.
    """
    begins, lengths = (values.to(torch.float32).view(-1, 1, 1) for values in (begins, lengths))
    step = lengths / num_to
    centres = (torch.arange(num_to, device=begins.device).view(1, -1, 1) + 0.5) * step
    places = torch.arange(num_from, device=begins.device) + 0.5 - begins
    distances = (places - centres).abs() / step.clamp(min=1)
    weights = (1 - distances).clamp_(min=0) if interpolation == BILINEAR else _cubic(distances)
    weights *= (places > 0) & (places < lengths)
    return weights / weights.sum(dim=-1, keepdim=True)


def _cubic(distances: Tensor) -> Tensor:
    """Return Keys' cubic convolution kernel with a = -0.5, as Pillow and torch use it to antialias."""
    near = (1.5 * distances - 2.5) * distances**2 + 1
    far = ((-0.5 * distances + 2.5) * distances - 4) * distances + 2
    return torch.where(distances < 1, near, far) * (distances < 2)


def crop_and_resize(images: Tensor, boxes: Tensor, size: tuple[int, int], interpolation: str = BILINEAR) -> Tensor:
    """Map float images [b, c, h, w] to crops [b, c, *size]; boxes [b, 4] are top, left, height, width."""
    top, left, height, width = boxes.unbind(dim=1)
    vertical = resampling_matrices(top, height, images.shape[2], size[0], interpolation)
    horizontal = resampling_matrices(left, width, images.shape[3], size[1], interpolation)
    if interpolation == BILINEAR:
        return torch.einsum("bchx,bwx->bchw", torch.einsum("bcyx,bhy->bchx", images, vertical), horizontal)
    # A cubic overshoots at edges. torch clamps uint8 images after each direction, the horizontal first.
    wide = torch.einsum("bcyx,bwx->bcyw", images, horizontal).clamp_(0, 255)
    return torch.einsum("bcyw,bhy->bchw", wide, vertical).clamp_(0, 255)
