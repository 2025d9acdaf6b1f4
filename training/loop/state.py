"""Everything that decides how a run goes on: what a checkpoint holds."""

import dataclasses
import logging
import math
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from training.cosface import GroupClassifier
from training.data.groups import Group, digest_of_groups
from training.data.sampling import Stream, derive_seed
from training.data.settings import AugmentationSettings
from training.distributed.processes import data_parallel
from training.network.model import GeoLocalizationNet
from training.network.settings import RANDOM, NetworkSettings
from training.network.weights import build_network
from training.recipe import GROWING, decisive_settings
from training.settings import FP16, TrainingSettings

logger = logging.getLogger(__name__)


def settings_of_run(
    groups_folder: Path,
    groups: list[Group],
    network: NetworkSettings,
    augmentation: AugmentationSettings,
    training: TrainingSettings,
) -> dict[str, Any]:
    """Return by name what makes a run another run: all but what may grow, as the number of epochs."""
    decisive = decisive_settings(network, augmentation, training)
    settings = {name: value for name, value in decisive.items() if name not in GROWING}
    return {**settings, "groups_digest": digest_of_groups(groups_folder), "groups": "; ".join(map(str, groups))}


@dataclasses.dataclass
class PartOfEpoch:
    """What has been done of an epoch.

    Args:
        iterations: How many of its iterations; their number is that of the next one.
        loss_sum: The sum of their losses, float64, where they were computed.
        seconds: The time that they took.
        wait_seconds: The part of it that was spent waiting for images.
    """

    iterations: int = 0
    loss_sum: Tensor = dataclasses.field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    seconds: float = 0.0
    wait_seconds: float = 0.0

    def mean_loss(self, epoch: int) -> float:
        """Return the mean loss so far: to look at it is to wait for the GPU.

        Raises:
            UserError: It is no number.
        """
        mean_loss = float(self.loss_sum) / self.iterations
        if not math.isfinite(mean_loss):
            raise UserError(
                f"the loss is {mean_loss} by iteration {self.iterations} of epoch {epoch + 1}: lower --lr or "
                "--classifiers-lr, or train with --precision fp32 or bf16"
            )
        return mean_loss


@dataclasses.dataclass
class TrainingState:
    """A run between two iterations.

    Args:
        settings: What `settings_of_run` gave.
        network: On the device.
        forward: What calls it in training, by itself or together with other processes.
        optimizer: The network's, through all groups.
        classifiers: One for each group, in the order of the groups; all but that of the epoch rest on the CPU.
        scaler: Keeps 16-bit gradients from vanishing; does nothing but in fp16.
        epoch: The epoch that is being trained, or the next.
        part: What has been done of it.
        best_recall: The best R@1 so far, in percent; 0 while there is none above 0.
        resumes: How often the run was interrupted and went on.
        metrics: A row of the metrics table for each epoch done.
    """

    settings: dict[str, Any]
    network: GeoLocalizationNet
    forward: nn.Module
    optimizer: torch.optim.Optimizer
    classifiers: list[GroupClassifier]
    scaler: torch.amp.GradScaler
    epoch: int = 0
    part: PartOfEpoch = dataclasses.field(default_factory=PartOfEpoch)
    best_recall: float = 0.0
    resumes: int = 0
    metrics: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    @classmethod
    def start(
        cls,
        settings: dict[str, Any],
        groups: list[Group],
        network: NetworkSettings,
        training: TrainingSettings,
        device: torch.device,
        image_size: ImageSize | None = None,
    ) -> Self:
        """Return the state before the first epoch."""
        net = build_network(network, training.seed, image_size)
        if training.sync_batch_norm:
            net = _with_synchronised_batch_norms(net, device)
        net = net.to(device)
        net.to(memory_format=torch.channels_last)  # the layout in which convolutions are fastest; shapes stay
        trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
        _log_size(network.backbone, net, trained)
        classifiers = [
            GroupClassifier(
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

    def end_epoch(self, metrics: dict[str, Any]) -> None:
        """Go on to the next epoch; `metrics` is the row of the one that is done."""
        self.metrics.append(metrics)
        self.epoch += 1
        self.part = PartOfEpoch()

    def checkpoint(self) -> dict[str, Any]:
        """Return the state as plain values and tensors.

        Raises:
            UserError: The loss is no number: nothing can go on from there.
        """
        if self.part.iterations:
            self.part.mean_loss(self.epoch)
        return {
            "settings": self.settings,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "classifiers": [classifier.state_dict() for classifier in self.classifiers],
            "scaler": self.scaler.state_dict(),
            "epoch": self.epoch,
            "part": {**vars(self.part), "loss_sum": float(self.part.loss_sum)},
            "best_recall": self.best_recall,
            "resumes": self.resumes,
            "metrics": self.metrics,
        }

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Take over what `checkpoint` gave, where it was made with the same settings."""
        self.network.load_state_dict(checkpoint["network"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        for classifier, state in zip(self.classifiers, checkpoint["classifiers"], strict=True):
            classifier.load_state_dict(state)
        self.scaler.load_state_dict(checkpoint["scaler"])
        for name in ("epoch", "best_recall", "resumes", "metrics"):
            setattr(self, name, checkpoint[name])
        loss_sum = torch.tensor(checkpoint["part"]["loss_sum"], dtype=torch.float64)
        self.part = PartOfEpoch(**checkpoint["part"] | {"loss_sum": loss_sum})


def start_or_resume(
    checkpoint: dict[str, Any] | None,
    settings: dict[str, Any],
    groups: list[Group],
    network: NetworkSettings,
    training: TrainingSettings,
    device: torch.device,
    image_size: ImageSize | None = None,
) -> TrainingState:
    """Return the state before the first epoch, or the one that a checkpoint of the same settings holds."""
    if checkpoint is None:
        return TrainingState.start(settings, groups, network, training, device, image_size)
    # All weights are in the checkpoint: those that the run started from need not be there any more.
    network = dataclasses.replace(network, backbone_weights=RANDOM, resume_model=None)
    state = TrainingState.start(settings, groups, network, training, device, image_size)
    state.restore(checkpoint)
    state.resumes += 1
    _log_resumed(state, training)
    return state


def _log_resumed(state: TrainingState, training: TrainingSettings) -> None:
    place = f"epoch {state.epoch + 1}"
    if state.part.iterations:
        place += f", after iteration {state.part.iterations:,} of {training.iterations_per_epoch:,}"
    best = f"; best R@1 so far {state.best_recall:.1f}" if state.metrics else ""
    logger.info("going on with %s%s", place, best)


def _with_synchronised_batch_norms(network: GeoLocalizationNet, device: torch.device) -> GeoLocalizationNet:
    if device.type != "cuda":
        raise UserError(f"sync_batch_norm = True: batch norms can be synchronised on GPUs alone, not on {device}")
    synchronised: GeoLocalizationNet
    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return synchronised


def _log_size(backbone: str, network: torch.nn.Module, trained: list[torch.nn.Parameter]) -> None:
    millions = [sum(p.numel() for p in parameters) / 1e6 for parameters in (network.parameters(), trained)]
    logger.info("%s: %.1f million parameters, %.1f million of them trained", backbone, *millions)
