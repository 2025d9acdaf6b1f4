"""What comes of the classes: what is taken, what is left out and why, said and checked."""

import logging
from typing import Any

import polars as pl

from data_manifest.errors import UserError
from data_manifest.inspect.classes import group_sizes
from pipeline.groups.cells import group_index
from pipeline.groups.settings import GroupSettings
from pipeline.verification.drop_bad_images import LEFT_OUT

LOGGED_GROUPS = 50
logger = logging.getLogger(__name__)


def summarise_classes(counted: pl.DataFrame, settings: GroupSettings) -> dict[str, Any]:
    """Return what comes of the classes that `add_up` gave: how many are taken, and how many left out and why."""
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
    """Check that a class is left.

    Raises:
        UserError: None is.
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


def log_summary(name: str, classes: pl.DataFrame, summary: dict[str, Any], settings: GroupSettings) -> None:
    """Tell what groups of a name have come of, and of each group, if there are not too many, how large it is."""
    shown = {key: f"{count:,}" for key, count in summary.items() if isinstance(count, int)}
    logger.info("%s: %s", name, summary["made"])
    if summary["images_without_heading"]:
        logger.info("%s: left out %s images without a heading", name, shown["images_without_heading"])
    for status, count in summary.get(LEFT_OUT, {}).items():
        logger.info("%s: left out %s images as bad: %s", name, f"{count:,}", status)
    if settings.years is not None:
        text = "%s: years %s: left out %s images of other years and %s without a year"
        logger.info(text, name, settings.years, shown["images_of_other_years"], shown["images_without_year"])
    if summary["images_in_them"]:
        text = "%s: left out %s images, of %s classes with fewer than %d"
        few = shown["classes_with_too_few_images"]
        logger.info(text, name, shown["images_in_them"], few, settings.min_images_per_class)
    sizes = group_sizes(classes.lazy())
    for group, num_classes, num_images in sizes.head(LOGGED_GROUPS).iter_rows():
        text = "group %d: %s classes, %s images, %.1f images a class"
        logger.info(text, group, f"{num_classes:,}", f"{num_images:,}", num_images / num_classes)
    if len(sizes) > LOGGED_GROUPS:
        logger.info("and %d more groups: see the classes table", len(sizes) - LOGGED_GROUPS)
    if len(sizes) == 1 < settings.N**2 * settings.L:
        logger.info("all classes are in one group: train with --groups-num 1")
