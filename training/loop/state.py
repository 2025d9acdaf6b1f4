"""The state of a run between two iterations, as checkpoints store it."""

import dataclasses
import logging
import math
from typing import Any, Self

import torch
from torch import Tensor, nn

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from training.classifier.group_classifier import GroupClassifier, ShardedGroupClassifier
from training.data.groups import Group
from training.data.sampling import Stream, derive_seed
from training.distributed.processes import data_parallel
from training.network.model import GeoLocalizationNet
from training.network.settings import NetworkSettings
from training.network.weights import build_network
from training.settings import FP16, TrainingSettings

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class EpochState:
    """The iterations done of an epoch, and the sum of their losses on the device."""

    iterations: int = 0
    loss_sum: Tensor = dataclasses.field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    seconds: float = 0.0
    wait_seconds: float = 0.0  # part of `seconds` spent waiting for images

    @property
    def busy_seconds(self) -> float:
        """Seconds that were not spent waiting for images."""
        return self.seconds - self.wait_seconds

    def mean_loss(self, epoch: int) -> float:
        """Return the mean loss so far; this waits for the GPU.

        Raises:
            UserError: It is not finite.
        """
        mean_loss = float(self.loss_sum) / self.iterations
        if not math.isfinite(mean_loss):
            raise UserError(
                f"The loss is {mean_loss} at iteration {self.iterations} of epoch {epoch + 1}. Lower --lr or "
                "--classifiers-lr, or train with --precision fp32 or bf16."
            )
        return mean_loss


@dataclasses.dataclass
class TrainingState:
    """A run between two iterations.

    The network is on the device, and so is the classifier of the current epoch's group; the others are on the CPU.
    """

    settings: dict[str, Any]  # a resumed run must have the same
    network: GeoLocalizationNet
    forward: nn.Module  # the network, wrapped for data-parallel training if there are several ranks
    optimizer: torch.optim.Optimizer  # of the network
    classifiers: list[GroupClassifier]  # by group
    scaler: torch.amp.GradScaler  # does nothing except in fp16
    epoch: int = 0
    epoch_state: EpochState = dataclasses.field(default_factory=EpochState)
    best_recall: float = 0.0  # in percent; 0 until an R@1 is above 0
    resumes: int = 0
    metrics: list[dict[str, Any]] = dataclasses.field(default_factory=list)  # a row per finished epoch

    @classmethod
    def start(
        cls,
        settings: dict[str, Any],
        groups: list[Group],
        network: NetworkSettings,
        training: TrainingSettings,
        device: torch.device,
        image_size: ImageSize | None = None,
        sharded: bool = False,
    ) -> Self:
        """Return the state before the first epoch; `sharded` splits the classifiers over the ranks."""
        net = build_network(network, training.seed, image_size)
        if training.sync_batch_norm:
            if device.type != "cuda":
                raise UserError(f"sync_batch_norm = True: only GPUs can synchronise batch norms, not {device}")
            net = nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]
        net = net.to(device)
        net.to(memory_format=torch.channels_last)  # the fastest memory layout of convolutions
        trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
        millions = [sum(each.numel() for each in parameters) / 1e6 for parameters in (net.parameters(), trained)]
        logger.info("network %s  %.1f M parameters  %.1f M trainable", network.backbone, *millions)
        kind = ShardedGroupClassifier if sharded else GroupClassifier
        classifiers = [
            kind(
                network.fc_output_dim,
                group.num_classes,
                training.classifiers_lr,
                derive_seed(Stream.CLASSIFIER, training.seed, group.index),
            )
            for group in groups
        ]
        optimizer = torch.optim.Adam(trained, lr=training.lr, fused=True)
        scaler = torch.amp.GradScaler(device.type, enabled=training.used_precision == FP16)
        return cls(settings, net, data_parallel(net, device), optimizer, classifiers, scaler)

    def batches(self, iterations: int) -> int:
        """Return the batches done in all epochs; `iterations` are those of an epoch."""
        return self.epoch * iterations + self.epoch_state.iterations

    def end_epoch(self, metrics: dict[str, Any]) -> None:
        """Start the next epoch; `metrics` is the row of the finished one."""
        self.metrics.append(metrics)
        self.epoch += 1
        self.epoch_state = EpochState()

    def checkpoint(self) -> dict[str, Any]:
        """Return the state as plain values and tensors.

        Sharded classifiers are gathered: all ranks must call this, and only rank 0 gets the whole state.

        Raises:
            UserError: The loss is not finite, so that a checkpoint would be useless.
        """
        if self.epoch_state.iterations:
            self.epoch_state.mean_loss(self.epoch)
        return {
            "settings": self.settings,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "classifiers": [classifier.state_dict() for classifier in self.classifiers],
            "scaler": self.scaler.state_dict(),
            "epoch": self.epoch,
            "part": {**vars(self.epoch_state), "loss_sum": float(self.epoch_state.loss_sum)},
            "best_recall": self.best_recall,
            "resumes": self.resumes,
            "metrics": self.metrics,
        }

    def resume(self, checkpoint: dict[str, Any], iterations: int) -> None:
        """Continue from a checkpoint with the same settings; `iterations` are those of an epoch."""
        self.network.load_state_dict(checkpoint["network"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        for classifier, state in zip(self.classifiers, checkpoint["classifiers"], strict=True):
            classifier.load_state_dict(state)
        self.scaler.load_state_dict(checkpoint["scaler"])
        for name in ("epoch", "best_recall", "resumes", "metrics"):
            setattr(self, name, checkpoint[name])
        loss_sum = torch.tensor(checkpoint["part"]["loss_sum"], dtype=torch.float64)
        self.epoch_state = EpochState(**checkpoint["part"] | {"loss_sum": loss_sum})
        self.resumes += 1
        best = f"  best val R@1 {self.best_recall:.1f}" if self.metrics else ""
        place = self.epoch + 1, f"{self.epoch_state.iterations:,}/{iterations:,}"
        logger.info("resuming at epoch %d  iteration %s%s", *place, best)
