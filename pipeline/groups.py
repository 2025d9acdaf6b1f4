"""Build the groups: classes counted, spread over N * N * L groups, and the images of each class written by group."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest import schemas
from data_manifest.artefacts import Recipe, publishing, read_recipe
from data_manifest.errors import UserError
from data_manifest.progress import Progress
from data_manifest.tables import scan_table, write_table
from pipeline.cells import CLASS_KEY, class_key, group_index
from pipeline.settings import GroupSettings

VERSION = 1
LOGGED_GROUPS = 50
logger = logging.getLogger(__name__)


def groups_recipe(name: str, manifest_digest: str, settings: GroupSettings) -> Recipe:
    """Return what makes groups: a manifest and the settings of the grouping."""
    return Recipe("groups", name, VERSION, settings.as_dict(), {"manifest": manifest_digest})


def build_groups(
    manifest: Path,
    artifacts: Path,
    settings: GroupSettings | None = None,
    on_percentage: Callable[[int], None] | None = None,
) -> Path:
    """Write the classes and members of all groups, and return the folder of the artefact.

    Group and class numbers depend on the images and the settings alone. Images without a heading are left out, unless
    alpha is 360.

    Args:
        manifest: Folder of a published manifest.
        artifacts: Where artefacts are published.
        settings: The grouping; the paper's by default.
        on_percentage: Told of the progress.

    Raises:
        UserError: No class has enough images.
    """
    settings = settings or GroupSettings()
    settings.warn_if_unwise()
    made_from = read_recipe(manifest)
    recipe = groups_recipe(made_from["name"], made_from["digest"], settings)
    images = scan_table(manifest, "manifest").select("path", "year", *class_key(settings)).collect()
    counted = count_classes(images)
    summary = _summary(images, counted, settings)
    _check_any_class(summary, settings)
    classes = number_classes(counted.filter(pl.col("num_images") >= settings.min_images_per_class), settings)
    summary["made"] = f"{summary['classes']:,} classes of {summary['images']:,} images in {summary['groups']:,} groups"
    with publishing(artifacts, recipe, summary) as staging:
        write_table(classes, staging / "classes" / "classes.parquet", schemas.CLASSES)
        _write_members(images, classes, staging / "members", on_percentage)
        _log_summary(made_from["name"], classes, summary, settings)
    return recipe.folder(artifacts)


def count_classes(images: pl.DataFrame) -> pl.DataFrame:
    """Return the class keys with `num_images`; images without a heading bin belong to none."""
    grouped = images.filter(pl.col("heading_bin").is_not_null()).group_by(CLASS_KEY)
    return grouped.agg(num_images=pl.len().cast(pl.Int32))


def number_classes(counted: pl.DataFrame, settings: GroupSettings) -> pl.DataFrame:
    """Return the classes table: each class with its group, numbered within it in the order of the keys."""
    ordered = counted.with_columns(group_index(settings)).sort("group_index", *CLASS_KEY)
    class_index = pl.int_range(pl.len(), dtype=pl.Int32).over("group_index").alias("class_index")
    return ordered.with_columns(class_index).select(schemas.CLASSES.names)


def _write_members(
    images: pl.DataFrame, classes: pl.DataFrame, folder: Path, on_percentage: Callable[[int], None] | None
) -> None:
    """Write the members, a file for each group: training reads one group at a time."""
    keyed = classes.select(*CLASS_KEY, "group_index", "class_index")
    members = images.join(keyed, on=CLASS_KEY, how="inner", nulls_equal=True).select(schemas.MEMBERS.names)
    by_group = members.sort("group_index", "class_index", "path").partition_by("group_index", maintain_order=True)
    with Progress("writing groups", len(by_group), "groups", on_percentage) as progress:
        for group in by_group:
            write_table(group, folder / f"group-{group['group_index'][0]:06d}.parquet", schemas.MEMBERS)
            progress.advance()


def _summary(images: pl.DataFrame, counted: pl.DataFrame, settings: GroupSettings) -> dict[str, Any]:
    enough = pl.col("num_images") >= settings.min_images_per_class
    counts = counted.select(
        images=pl.col("num_images").filter(enough).sum(),
        classes=enough.sum(),
        groups=group_index(settings).filter(enough).n_unique(),
        classes_with_too_few_images=(~enough).sum(),
        images_in_them=pl.col("num_images").filter(~enough).sum(),
        largest_class=pl.col("num_images").max(),
    )
    return {**counts.row(0, named=True), "images_without_heading": images["heading_bin"].null_count()}


def _check_any_class(summary: dict[str, Any], settings: GroupSettings) -> None:
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


def _log_summary(name: str, classes: pl.DataFrame, summary: dict[str, Any], settings: GroupSettings) -> None:
    shown = {key: f"{count:,}" for key, count in summary.items() if isinstance(count, int)}
    logger.info("%s: %s", name, summary["made"])
    if summary["images_without_heading"]:
        logger.info("%s: left out %s images without a heading", name, shown["images_without_heading"])
    if summary["images_in_them"]:
        text = "%s: left out %s images, of %s classes with fewer than %d"
        few = shown["classes_with_too_few_images"]
        logger.info(text, name, shown["images_in_them"], few, settings.min_images_per_class)
    sizes = classes.group_by("group_index").agg(classes=pl.len(), images=pl.col("num_images").sum()).sort("group_index")
    for group, num_classes, num_images in sizes.head(LOGGED_GROUPS).iter_rows():
        text = "group %d: %s classes, %s images, %.1f images a class"
        logger.info(text, group, f"{num_classes:,}", f"{num_images:,}", num_images / num_classes)
    if len(sizes) > LOGGED_GROUPS:
        logger.info("and %d more groups: see the classes table", len(sizes) - LOGGED_GROUPS)
