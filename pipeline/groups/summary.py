"""Summarise a grouping: the classes and images that it takes, and those that it leaves out."""

import logging
from typing import Any

import polars as pl

from data_manifest.errors import UserError
from data_manifest.inspect.classes import group_sizes
from pipeline.groups.classes import group_index
from pipeline.groups.settings import GroupSettings
from pipeline.verification.drop_bad_images import LEFT_OUT

MAX_LOGGED_GROUPS = 50
logger = logging.getLogger(__name__)


def summarise_classes(counted: pl.DataFrame, settings: GroupSettings) -> dict[str, Any]:
    """Return how many classes and images are taken, and how many are left out and why, from what `sum_counts` gave."""
    classes = counted.filter(pl.col("heading_bin").is_not_null())
    enough = pl.col("num_images") >= settings.min_images_per_class
    counts = classes.select(
        images=pl.col("num_images").filter(enough).sum(),
        classes=enough.sum(),
        groups=group_index(settings).filter(enough).n_unique(),
        classes_with_too_few_images=(~enough).sum(),
        images_in_them=pl.col("num_images").filter(~enough).sum(),
        largest_class=pl.col("num_images").max(),
    )
    without = counted.filter(pl.col("heading_bin").is_null())["num_images"].sum()
    return {**counts.row(0, named=True), "images_without_heading": without}


def check_any_class(summary: dict[str, Any], settings: GroupSettings) -> None:
    """Check that there is at least one class.

    Raises:
        UserError: No image has a heading, or no class has enough images.
    """
    if not summary["largest_class"]:
        raise UserError(
            f"none of the {summary['images_without_heading']:,} images has a heading: "
            "use --alpha 360 --L 1 to make classes of cells alone"
        )
    if not summary["classes"]:
        raise UserError(
            f"min_images_per_class = {settings.min_images_per_class}: the largest class has "
            f"{summary['largest_class']} images; lower it, or make cells larger (M = {settings.M:g} metres) "
            f"or heading bins wider (alpha = {settings.alpha:g} degrees)"
        )


def describe(summary: dict[str, Any]) -> str:
    """Return the numbers of classes, images and groups as text."""
    return f"{summary['classes']:,} classes of {summary['images']:,} images in {summary['groups']:,} groups"


def log_summary(name: str, classes: pl.DataFrame, summary: dict[str, Any], settings: GroupSettings) -> None:
    """Log what the groups contain, what is left out, and the size of each of the first groups."""
    logger.info("%s: %s", name, describe(summary))
    for count, reason in images_left_out(summary, settings):
        logger.info("%s: left out %s images %s", name, f"{count:,}", reason)
    sizes = group_sizes(classes.lazy())
    for group, num_classes, num_images in sizes.head(MAX_LOGGED_GROUPS).iter_rows():
        text = "group %d: %s classes, %s images, %.1f images per class"
        logger.info(text, group, f"{num_classes:,}", f"{num_images:,}", num_images / num_classes)
    if len(sizes) > MAX_LOGGED_GROUPS:
        logger.info("and %d more groups: see the classes table", len(sizes) - MAX_LOGGED_GROUPS)
    if len(sizes) == 1 < settings.N**2 * settings.L:
        logger.info("all classes are in one group: train with --groups-num 1")


def images_left_out(summary: dict[str, Any], settings: GroupSettings) -> list[tuple[int, str]]:
    """Return how many images are left out for each reason that applies."""
    few = f"of {summary['classes_with_too_few_images']:,} classes with fewer than {settings.min_images_per_class}"
    counts = [
        (summary["images_without_heading"], "without a heading"),
        *((count, f"as bad: {status}") for status, count in summary.get(LEFT_OUT, {}).items()),
        (summary.get("images_of_other_years", 0), f"of other years than {settings.years}"),
        (summary.get("images_without_year", 0), "without a year"),
        (summary["images_in_them"], few),
    ]
    return [(count, reason) for count, reason in counts if count]
