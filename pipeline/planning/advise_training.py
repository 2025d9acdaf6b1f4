"""Recommend a grouping and training settings for few images: section "Small sets" of benchmarks/RESULTS.md."""

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from pipeline.groups.settings import GroupSettings
from pipeline.planning.plan_groups import Plan

FEW_IMAGES = 20_000  # fewer have not trained a network well from ImageNet weights with the published settings
VERY_FEW_IMAGES = 2_000
SMALL_BATCH_SIZE = 16
# For very few images: all classes in one group. Narrow cells are for a single street.
SMALL_GROUPINGS = (
    GroupSettings(M=10, alpha=30, N=1, L=1, min_images_per_class=5),
    GroupSettings(M=20, alpha=60, N=1, L=1, min_images_per_class=3),
    GroupSettings(M=20, alpha=90, N=1, L=1, min_images_per_class=3),
    GroupSettings(M=30, alpha=90, N=1, L=1, min_images_per_class=3),
    GroupSettings(M=50, alpha=90, N=1, L=1, min_images_per_class=3),
    GroupSettings(M=5, alpha=60, N=1, L=1, min_images_per_class=3),
)
SAMPLES_PER_IMAGE = 1.25  # in an epoch
MIN_ITERATIONS, EPOCHS_PER_GROUP, MIN_PATIENCE = 20, 12, 3
FINE_TUNING = {
    "lr": 1e-4,
    "train_all_layers": "true",
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "hue": 0.05,
    "random_resized_crop": 0.2,
}


def training_settings(plan: Plan, groups: Sequence[int], batch_size: int) -> dict[str, Any]:
    """Return settings to train on some groups of a plan; empty if the published settings suit its amount of images."""
    if plan.trainable["images"] >= FEW_IMAGES:
        return {}
    images = int(plan.groups.filter(pl.col("group_index").is_in(groups))["images"].sum())
    iterations = math.ceil(SAMPLES_PER_IMAGE * images / len(groups) / batch_size)
    return {
        "batch_size": batch_size,
        "epochs_num": EPOCHS_PER_GROUP * len(groups),
        "iterations_per_epoch": max(MIN_ITERATIONS, iterations),
        "patience": max(MIN_PATIENCE, len(groups)),
        **FINE_TUNING,
    }
