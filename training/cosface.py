"""CosFace, the loss: a classifier on the unit sphere with a margin (Wang et al., 2018; paper, section 3.3)."""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize, one_hot

SCALE, MARGIN = 30.0, 0.40


class CosFace(nn.Module):
    """One weight vector per class; the logits are scaled cosines, with a margin on the correct class.

    logit_j = scale * (cos_j - margin * [j is the correct class])
    """

    def __init__(self, fc_output_dim: int, num_classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, fc_output_dim))
        nn.init.xavier_uniform_(self.weight, generator=generator)

    def forward(self, descriptors: Tensor, class_indices: Tensor) -> Tensor:
        """Map descriptors [b, fc_output_dim] and their classes [b], int64, to logits [b, num_classes]."""
        cosines = linear(normalize(descriptors), normalize(self.weight))
        return SCALE * (cosines - MARGIN * one_hot(class_indices, cosines.shape[1]))


class GroupClassifier:
    """A group's classifier, with initial weights from a seed, and its optimizer."""

    def __init__(self, fc_output_dim: int, num_classes: int, lr: float, seed: int) -> None:
        self.classifier = CosFace(fc_output_dim, num_classes, torch.Generator().manual_seed(seed))
        self.optimizer = torch.optim.Adam(self.classifier.parameters(), lr=lr, fused=True)

    def to(self, device: torch.device) -> Self:
        """Move the weights and the optimizer's state to a device."""
        self.classifier.to(device)
        self.optimizer.load_state_dict(self.optimizer.state_dict())  # moves its tensors to the weights' device
        return self

    def state_dict(self) -> dict[str, object]:
        """Return the weights and the optimizer's state."""
        return {"classifier": self.classifier.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, dict[str, object]]) -> None:
        """Load the result of `state_dict`."""
        self.classifier.load_state_dict(state["classifier"])
        self.optimizer.load_state_dict(state["optimizer"])
