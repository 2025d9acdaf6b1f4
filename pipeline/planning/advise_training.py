"""Recommend training settings for few images, as measured in section "Small sets" of benchmarks/RESULTS.md."""

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from pipeline.planning.plan_groups import Plan

FEW_CLASSES, FEW_IMAGES = 1_000, 20_000  # fewer have not trained a network well with the published settings
VERY_FEW_IMAGES = 2_000  # make one group
TOO_FEW_IMAGES = 300  # have trained a network little
SMALL_BATCH_SIZE = 16
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
RANDOM_WEIGHTS = "--backbone-weights none --lr 0.001"  # instead of FINE_TUNING's learning rate


def is_few(plan: Plan) -> bool:
    """Return whether a plan has too few images for the published training settings."""
    return plan.trainable["images"] < FEW_IMAGES


def training_settings(plan: Plan, groups: Sequence[int], batch_size: int) -> dict[str, Any]:
    """Return settings to train on some groups of a plan; empty if the published settings suit its amount of images."""
    if not is_few(plan):
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


def warn_of_amount(images: int, trainable: dict[str, int] | None) -> str | None:
    """Return what to expect of training on few images, or None if there are enough.

    Args:
        images: The number of usable images.
        trainable: Images and classes of the suggested plan; None without one.
    """
    instead = "use published weights (--model ResNet50-512), with these images as the database"
    if trainable is None:
        return (
            f"{images:,} images do not make a group of {SMALL_BATCH_SIZE} classes, one per image of a batch: {instead}"
        )
    amount = f"{trainable['images']:,} trainable images in {trainable['classes']:,} classes"
    if trainable["images"] < TOO_FEW_IMAGES:
        gain = "in a study, 132 and 192 images raised R@1 of ImageNet weights by 5 to 7 points"
        return f"{amount} are very few: {gain}. Rather {instead}"
    if trainable["images"] < FEW_IMAGES or trainable["classes"] < FEW_CLASSES:
        gain = "in a study, 460 to 768 images raised R@1 of ImageNet weights by 13 to 47 points"
        compare = (
            "Compare with the untrained network (--epochs-num 0) and with published weights (--model ResNet50-512)"
        )
        return f"{amount} are few (SF-XL: 5.6 million images): {gain}. {compare}"
    return None
