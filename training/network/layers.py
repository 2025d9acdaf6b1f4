"""The aggregation layers, from feature maps to a descriptor: L2 normalisation and GeM pooling."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


def in_full_precision(values: Tensor) -> Tensor:
    """Return 16-bit values as float32, others unchanged.

    In 16 bits, powers of small activations underflow, and the gradient of a root at 0 is infinite.
    """
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


class L2Norm(nn.Module):
    """Scale to unit length along dimension 1: each position of a feature map, or each descriptor."""

    def forward(self, values: Tensor) -> Tensor:
        """Map [b, c, ...] to the same shape."""
        return normalize(in_full_precision(values), p=2.0, dim=1)


class GeM(nn.Module):
    """Generalised mean over the positions of each channel, with a trainable exponent p (Radenovic et al., 2018).

    f = (mean of max(x, eps)^p)^(1/p): the average for p = 1, the maximum as p goes to infinity.
    """

    def __init__(self, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), p))
        self.eps = eps

    def forward(self, feature_maps: Tensor) -> Tensor:
        """Map [b, c, h, w] to [b, c, 1, 1]."""
        powers = in_full_precision(feature_maps).clamp(min=self.eps).pow(self.p)
        return powers.mean(dim=(-2, -1), keepdim=True).pow(1.0 / self.p)


def build_aggregation(channels: int, fc_output_dim: int) -> nn.Sequential:
    """Return L2, GeM, flatten, linear, L2 (paper, section 3.4): [b, channels, h, w] to [b, fc_output_dim]."""
    return nn.Sequential(L2Norm(), GeM(), nn.Flatten(), nn.Linear(channels, fc_output_dim), L2Norm())
