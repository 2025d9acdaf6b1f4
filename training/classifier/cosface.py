"""CosFace, the loss: a classifier on the unit sphere with a margin (Wang et al., 2018; paper, section 3.3)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize

from training.distributed.processes import all_reduce_mean

SCALE, MARGIN = 30.0, 0.40


class CosFace(nn.Module):
    """One weight vector per class; the logits are scaled cosines, with a margin on the correct class.

    logit_j = scale * (cos_j - margin * [j is the correct class])
    """

    def __init__(self, fc_output_dim: int, num_classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.num_classes, self.classes = num_classes, range(num_classes)  # `classes` are those of `weight`
        self.weight = nn.Parameter(torch.empty(num_classes, fc_output_dim))
        nn.init.xavier_uniform_(self.weight, generator=generator)

    def forward(self, descriptors: Tensor, class_indices: Tensor) -> Tensor:
        """Map descriptors [b, fc_output_dim] and their classes [b], int64, to logits [b, len(classes)]."""
        cosines = linear(normalize(descriptors), normalize(self.weight))
        own = torch.arange(self.classes.start, self.classes.stop, device=class_indices.device)
        return SCALE * (cosines - MARGIN * (class_indices[:, None] == own))

    def loss(self, descriptors: Tensor, class_indices: Tensor) -> Tensor:
        """Return the mean cross-entropy of descriptors [b, fc_output_dim] with their classes [b], int64."""
        return cross_entropy(self(descriptors, class_indices), class_indices)

    def reduce_gradient(self, is_scaled: bool) -> None:
        """Average the weights' gradient over all ranks: DistributedDataParallel averages only the network's.

        Args:
            is_scaled: A GradScaler checks whether the gradient is finite; all ranks must come to the same result.
        """
        if self.weight.grad is not None:
            all_reduce_mean(self.weight.grad)
