"""Crops of a batch, each its own, brought to one size: antialiased where they shrink, as torchvision's are.

Bilinear resizing is separable: a matrix takes each column of an image to its new height, another takes each row to its
new width. A batch has such matrices of its own for each image, so that all crops together are two products.
"""

import torch
from torch import Tensor


def resampling_matrices(begins: Tensor, lengths: Tensor, num_from: int, num_to: int) -> Tensor:
    """Return what takes parts of lines to lines of `num_to` pixels: [b, num_to, num_from].

    A new pixel is a weighted mean of those under a triangle around its place, which is two old pixels wide, or two new
    ones where these are wider.

    Args:
        begins: Each part's first pixel: [b].
        lengths: Each part's pixels: [b].
        num_from: Pixels of a line.
        num_to: Pixels of a new line.
    """
    begins, lengths = (values.to(torch.float32).view(-1, 1, 1) for values in (begins, lengths))
    step = lengths / num_to
    centres = (torch.arange(num_to, device=begins.device).view(1, -1, 1) + 0.5) * step
    places = torch.arange(num_from, device=begins.device) + 0.5 - begins
    weights = (1 - (places - centres).abs() / step.clamp(min=1)).clamp_(min=0)
    weights *= (places > 0) & (places < lengths)
    return weights / weights.sum(dim=-1, keepdim=True)


def crop_and_resize(images: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Map float images [b, c, h, w] to crops [b, c, *size]; boxes are [b, 4]: top, left, height, width."""
    top, left, height, width = boxes.unbind(dim=1)
    down = resampling_matrices(top, height, images.shape[2], size[0])
    across = resampling_matrices(left, width, images.shape[3], size[1])
    return torch.einsum("bchx,bwx->bchw", torch.einsum("bcyx,bhy->bchx", images, down), across)
