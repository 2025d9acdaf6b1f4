"""A group's classifier with its optimizer, whole or sharded over the ranks."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from training.classifier.cosface import CosFace
from training.classifier.sharded_cosface import ShardedCosFace, gather_rows


class GroupClassifier:
    """A group's classifier, with initial weights from a seed, and its optimizer."""

    kind: ClassVar[type[CosFace]] = CosFace

    def __init__(self, fc_output_dim: int, num_classes: int, lr: float, seed: int) -> None:
        self.classifier = self.kind(fc_output_dim, num_classes, torch.Generator().manual_seed(seed))
        self.optimizer = torch.optim.Adam(self.classifier.parameters(), lr=lr, fused=True)

    def to(self, device: torch.device) -> Self:
        """Move the weights and the optimizer's state to a device."""
        self.classifier.to(device)
        self.optimizer.load_state_dict(self.optimizer.state_dict())  # moves its tensors to the weights' device
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return the weights and the optimizer's state."""
        return {"classifier": self.classifier.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the result of `state_dict`."""
        self.classifier.load_state_dict(state["classifier"])
        self.optimizer.load_state_dict(state["optimizer"])


class ShardedGroupClassifier(GroupClassifier):
    """A GroupClassifier whose classes are split over the ranks; its state is that of a whole one."""

    kind = ShardedCosFace

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the whole classifier on rank 0; all ranks must call this, and others return a part."""
        return _change_rows(super().state_dict(), lambda rows: gather_rows(rows, self.classifier.num_classes))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load this rank's rows of the state of a whole classifier."""
        own = slice(self.classifier.classes.start, self.classifier.classes.stop)
        super().load_state_dict(_change_rows(state, lambda rows: rows[own].clone()))  # a view would keep all rows


def _change_rows(state: dict[str, Any], change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """Return the state of a classifier after a change of its weights and of Adam's two moments."""
    optimizer = state["optimizer"]
    moments = {
        parameter: {name: change(value) if value.ndim else value for name, value in values.items()}
        for parameter, values in optimizer["state"].items()
    }
    weights = {name: change(value) for name, value in state["classifier"].items()}
    return {"classifier": weights, "optimizer": {**optimizer, "state": moments}}
