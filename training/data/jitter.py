"""Colour jitter, in place on float32 pixels [..., channels, h, w] from 0 to 255, with 3 channels or 1.

Results equal torchvision's up to rounding. Each channel is a function of the hue alone, which takes a fraction of the
time of torchvision's conversion to HSV and back.
"""

import torch
from torch import Tensor

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)  # torchvision's numbers
WHITE = 255.0
Number = float | Tensor  # a tensor has one value per image, shaped to broadcast


def grey_of(pixels: Tensor) -> Tensor:
    """Return the brightness of each pixel: [..., 1, h, w]."""
    if pixels.shape[-3] == 1:
        return pixels
    red, green, blue = pixels.unbind(dim=-3)
    return red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).unsqueeze(-3)


def blend(pixels: Tensor, factor: Number, other: Number) -> None:
    """Replace the pixels by factor * pixels + (1 - factor) * other, clamped."""
    part = (1 - factor) * other  # first: `other` may be a view of the pixels
    pixels.mul_(factor).add_(part).clamp_(0, WHITE)


def turn_hue(pixels: Tensor, turns: Number) -> None:
    """Turn colours around the colour circle, by 1 for a full turn; greys, and so images of one channel, stay."""
    if pixels.shape[-3] == 1:
        return
    red, green, blue = pixels.unbind(dim=-3)
    low, high = torch.minimum(torch.minimum(red, green), blue), torch.maximum(torch.maximum(red, green), blue)
    chroma = high - low
    # Hue in sixths of the circle: 0 red, 2 green, 4 blue. That of a grey does not matter.
    hue = torch.where(high == green, (blue - red).add_(chroma, alpha=2), (red - green).add_(chroma, alpha=4))
    hue = torch.where(high == red, green - blue, hue).div_(chroma.clamp(min=1e-6)).add_(6 * turns)
    hue.sub_(hue.div(6).floor_().mul_(6))
    red.copy_(hue.sub(3).abs_().sub_(1).clamp_(0, 1).mul_(chroma).add_(low))
    green.copy_(hue.sub(2).abs_().neg_().add_(2).clamp_(0, 1).mul_(chroma).add_(low))
    blue.copy_(hue.sub(4).abs_().neg_().add_(2).clamp_(0, 1).mul_(chroma).add_(low))
