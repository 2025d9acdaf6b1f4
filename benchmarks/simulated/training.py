"""This project's training on images of a store, with a stand-in for the network's steps."""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import torch
from torch import Tensor, nn

from data_manifest.images.images_folder import ImagesFolder
from simulated.consume import Epoch, take
from training.data.settings import AugmentationSettings
from training.loop.saving import METRICS_TABLE
from training.loop.trainer import train
from training.network.settings import RANDOM, NetworkSettings
from training.settings import RuntimeSettings, TrainingSettings

AUGMENTATION = AugmentationSettings(image_size=64, brightness=0.0, contrast=0.0, hue=0.0, saturation=0.0)
NETWORK = NetworkSettings("SqueezeNet1_1", 16, backbone_weights=RANDOM)


class Step:
    """Stands in for a training step."""

    def __init__(self, *_: object) -> None:
        self.loss = torch.zeros(())

    def __call__(self, images: Tensor, class_indices: Tensor) -> Tensor:
        """Take a batch; return the loss."""
        assert len(torch.unique(class_indices)) == len(images)
        take(images)
        return self.loss


def measure_training(
    groups: Path,
    images_folder: ImagesFolder,
    training: TrainingSettings,
    runtime: RuntimeSettings,
    bytes_read: Callable[[], int],
) -> list[Epoch]:
    """Train, and return the figures of each epoch; `bytes_read` returns the bytes that the store has read so far."""
    read, images = [bytes_read()], training.iterations_per_epoch * training.batch_size

    def validate(_: nn.Module) -> dict[int, float]:
        read.append(bytes_read())
        return {1: 0.0}

    options: dict[str, Any] = {"network": NETWORK, "augmentation": AUGMENTATION}
    with tempfile.TemporaryDirectory() as folder, patch("training.loop.epoch.TrainStep", Step):
        run = Path(folder)
        train(groups, images_folder, run, training=training, runtime=runtime, validate=validate, **options)
        metrics = pl.read_parquet(run / METRICS_TABLE).select("images_per_second", "data_wait_share").rows()
    counts = [(after - before) / images for before, after in itertools.pairwise(read)]
    return [Epoch(*row, count, training.batch_size) for row, count in zip(metrics, counts, strict=True)]
