"""Colour jitter's arithmetic, in place on float32 pixels [..., channels, h, w] from 0 to 255; three channels, or one.

The results are torchvision's to rounding. Its way of turning hues goes through seven tables an image in size and takes
four fifths of an augmentation's time; here each channel is a function of the hue alone.
"""

import torch
from torch import Tensor

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)  # as torchvision numbers them
WHITE = 255.0
Number = float | Tensor  # a tensor has one value an image, with a 1 for each of its dimensions


def grey_of(pixels: Tensor) -> Tensor:
    """Return the brightness of each pixel: [..., 1, h, w]."""
    if pixels.shape[-3] == 1:
        return pixels
    red, green, blue = pixels.unbind(dim=-3)
    return red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).unsqueeze(-3)


def blend(pixels: Tensor, factor: Number, towards: Number) -> None:
    """Mix: a factor of 1 keeps the pixels, 0 gives what they are blended with, more than 1 leads away from that."""
    part = (1 - factor) * towards  # first, because the pixels may be what they are blended with
    pixels.mul_(factor).add_(part).clamp_(0, WHITE)


def turn_hue(pixels: Tensor, turns: Number) -> None:
    """Turn colours around the circle, by 1 for all the way; greys, and so images of one channel, stay."""
    if pixels.shape[-3] == 1:
        return
    red, green, blue = pixels.unbind(dim=-3)
    low, high = torch.minimum(torch.minimum(red, green), blue), torch.maximum(torch.maximum(red, green), blue)
    chroma = high - low
    # Hue in sixths of the circle: 0 red, 2 green, 4 blue. A grey has none, and 0 divided by anything will do.
    hue = torch.where(high == green, (blue - red).add_(chroma, alpha=2), (red - green).add_(chroma, alpha=4))
    hue = torch.where(high == red, green - blue, hue).div_(chroma.clamp(min=1e-6)).add_(6 * turns)
    hue.sub_(hue.div(6).floor_().mul_(6))
    red.copy_(hue.sub(3).abs_().sub_(1).clamp_(0, 1).mul_(chroma).add_(low))
    green.copy_(hue.sub(2).abs_().neg_().add_(2).clamp_(0, 1).mul_(chroma).add_(low))
    blue.copy_(hue.sub(4).abs_().neg_().add_(2).clamp_(0, 1).mul_(chroma).add_(low))
