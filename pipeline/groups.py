"""Build the groups: classes counted, spread over N * N * L groups, and the images of each class written by group."""

import logging
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest import schemas
from data_manifest.artefacts import Recipe, find_published, publishing, read_recipe
from data_manifest.errors import UserError
from data_manifest.progress import Progress
from data_manifest.staging import remove_dead_staging
from data_manifest.tables import scan_table, table_files, write_table
from pipeline.cells import CLASS_KEY, group_index
from pipeline.disk_space import check_space, room_for_groups
from pipeline.executor import run_all
from pipeline.members import NUMBERS, Putting, count_classes_of, plan_files, put_aside, write_bundle
from pipeline.selection import warn_of_selection_in
from pipeline.settings import GroupSettings
from pipeline.years import count_years, left_out_by_year

Percentage = Callable[[int], None] | None
VERSION = 2
LOGGED_GROUPS = 50
PATHS_LOOKED_AT = 10_000
PARTITIONS_AT_A_TIME = 100
logger = logging.getLogger(__name__)


def groups_recipe(name: str, manifest_digest: str, settings: GroupSettings) -> Recipe:
    """Return what makes groups: a manifest and the settings of the grouping."""
    return Recipe("groups", name, VERSION, settings.as_dict(), {"manifest": manifest_digest})


def build_groups(
    manifest: Path,
    artifacts: Path,
    settings: GroupSettings | None = None,
    on_percentage: Percentage = None,
    executor: Executor | None = None,
) -> Path:
    """Write the classes and members of all groups, and return the folder of the artefact.

    What is published already is not made again. Group and class numbers depend on the images and the settings alone.
    Images without a heading are left out, unless alpha is 360, as are those of other years than `years`, if given.

    Args:
        manifest: Folder of a published manifest.
        artifacts: Where artefacts are published.
        settings: The grouping; the paper's by default.
        on_percentage: Told of the progress.
        executor: Reads and writes the tables; threads of this process by default.

    Raises:
        UserError: No class has enough images, no image is of the years asked for, or there is no room for the tables.
    """
    settings = settings or GroupSettings()
    settings.warn_if_unwise()
    made_from = read_recipe(manifest)
    recipe = groups_recipe(made_from["name"], made_from["digest"], settings)
    if published := find_published(artifacts, recipe, adopt={}):
        return published
    left_out = _leave_out_years(manifest, settings)
    files = table_files(manifest.absolute(), "manifest")  # jobs may go to machines that work in other folders
    warn_of_selection_in(files, settings)
    counted = _count_all(files, settings, on_percentage, executor)
    total = add_up(counted)
    summary = {**summarise_classes(total, settings), **left_out}
    check_any_class(summary, settings)
    classes = number_classes(total.filter(pl.col("num_images") >= settings.min_images_per_class), settings)
    remove_dead_staging(artifacts)  # nothing of it is taken over: it may be what the disk is full of
    check_space(artifacts, room_for_groups(*_estimate(files, summary["images"])), f"groups of {made_from['name']}")
    summary["made"] = f"{summary['classes']:,} classes of {summary['images']:,} images in {summary['groups']:,} groups"
    with publishing(artifacts.absolute(), recipe, summary) as staging:
        write_table(classes, staging / "classes" / "classes.parquet", schemas.CLASSES)
        _write_members(files, counted, plan_files(classes), settings, staging, on_percentage, executor)
        _log_summary(made_from["name"], classes, summary, settings)
    return recipe.folder(artifacts)


def _estimate(files: list[Path], num_images: int) -> tuple[int, int]:
    """Return a number of images with the bytes of their paths, if these are as long as the first ones."""
    lengths = pl.scan_parquet(files, glob=False).head(PATHS_LOOKED_AT).select(pl.col("path").str.len_bytes().mean())
    return num_images, round(num_images * lengths.collect().item())


def _leave_out_years(manifest: Path, settings: GroupSettings) -> dict[str, int]:
    if settings.years is None:
        return {}
    return left_out_by_year(count_years(scan_table(manifest, "manifest")), settings.years)


def _count_all(
    files: list[Path], settings: GroupSettings, on_percentage: Percentage, executor: Executor | None
) -> list[pl.DataFrame]:
    """Return the counts of classes in each partition of the manifest."""
    with Progress("counting classes", len(files), "partitions", _share(on_percentage, 0, 20)) as progress:
        return list(run_all(partial(count_classes_of, settings=settings), files, progress, executor))


def add_up(counted: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the class keys with `num_images` over all partitions."""
    return pl.concat(counted).group_by(CLASS_KEY).agg(pl.col("num_images").cast(pl.Int64).sum())


def number_classes(counted: pl.DataFrame, settings: GroupSettings) -> pl.DataFrame:
    """Return the classes table: each class with its group, numbered within it in the order of the keys."""
    ordered = (
        counted.filter(pl.col("heading_bin").is_not_null())
        .with_columns(group_index(settings))
        .sort("group_index", *CLASS_KEY)
    )
    class_index = pl.int_range(pl.len(), dtype=pl.Int32).over("group_index").alias("class_index")
    return ordered.with_columns(class_index, pl.col("num_images").cast(pl.Int32)).select(schemas.CLASSES.names)


def _write_members(
    files: list[Path],
    counted: list[pl.DataFrame],
    classes: pl.DataFrame,
    settings: GroupSettings,
    staging: Path,
    on_percentage: Percentage,
    executor: Executor | None,
) -> None:
    """Write the members: partitions put aside by bundle, then bundles gathered."""
    scratch = staging / "scratch"
    scratch.mkdir()
    asides = [scratch / f"{index}.arrow" for index in range(len(files))]
    jobs = (  # made when it is their turn: together they would hold each class once for each partition it is in
        Putting(file, of_file, settings, aside)
        for file, of_file, aside in zip(files, classes_of_each(counted, classes), asides, strict=True)
    )
    with Progress("sorting images by group", len(files), "partitions", _share(on_percentage, 20, 60)) as progress:
        batches = list(run_all(put_aside, jobs, progress, executor))
    places: dict[int, list[tuple[Path, int]]] = {bundle: [] for bundle in sorted(set().union(*batches))}
    for aside, each in zip(asides, batches, strict=True):
        for bundle, batch in each.items():
            places[bundle].append((aside, batch))
    with Progress("writing groups", len(places), "bundles", _share(on_percentage, 60, 100)) as progress:
        list(run_all(partial(write_bundle, folder=staging / "members"), places.values(), progress, executor))
    shutil.rmtree(scratch)


def classes_of_each(counted: list[pl.DataFrame], classes: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Give the key and the numbers of those classes that each partition has images of.

    Many partitions are looked up at a time, because each time goes through all classes.
    """
    numbers = classes.select(*CLASS_KEY, *NUMBERS)
    for start in range(0, len(counted), PARTITIONS_AT_A_TIME):
        part = counted[start : start + PARTITIONS_AT_A_TIME]
        keys = pl.concat(each.select(*CLASS_KEY, partition=pl.lit(index)) for index, each in enumerate(part))
        found = keys.join(numbers, on=CLASS_KEY, nulls_equal=True).partition_by(
            "partition", include_key=False, as_dict=True
        )
        yield from (found.get((index,), numbers.clear()) for index in range(len(part)))


def _share(on_percentage: Percentage, begin: int, end: int) -> Percentage:
    """Return a listener to a part of the work, which is from `begin` to `end` percent of the whole."""
    if on_percentage is None:
        return None
    return lambda percentage: on_percentage(begin + percentage * (end - begin) // 100)


def group_sizes(classes: pl.DataFrame) -> pl.DataFrame:
    """Return `group_index`, `classes` and `images` of each group of the classes table that is not empty."""
    sizes = classes.group_by("group_index").agg(classes=pl.len(), images=pl.col("num_images").cast(pl.Int64).sum())
    return sizes.sort("group_index")


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


def _log_summary(name: str, classes: pl.DataFrame, summary: dict[str, Any], settings: GroupSettings) -> None:
    shown = {key: f"{count:,}" for key, count in summary.items() if isinstance(count, int)}
    logger.info("%s: %s", name, summary["made"])
    if summary["images_without_heading"]:
        logger.info("%s: left out %s images without a heading", name, shown["images_without_heading"])
    if settings.years is not None:
        text = "%s: years %s: left out %s images of other years and %s without a year"
        logger.info(text, name, settings.years, shown["images_of_other_years"], shown["images_without_year"])
    if summary["images_in_them"]:
        text = "%s: left out %s images, of %s classes with fewer than %d"
        few = shown["classes_with_too_few_images"]
        logger.info(text, name, shown["images_in_them"], few, settings.min_images_per_class)
    sizes = group_sizes(classes)
    for group, num_classes, num_images in sizes.head(LOGGED_GROUPS).iter_rows():
        text = "group %d: %s classes, %s images, %.1f images a class"
        logger.info(text, group, f"{num_classes:,}", f"{num_images:,}", num_images / num_classes)
    if len(sizes) > LOGGED_GROUPS:
        logger.info("and %d more groups: see the classes table", len(sizes) - LOGGED_GROUPS)
    if len(sizes) == 1 < settings.N**2 * settings.L:
        logger.info("all classes are in one group: train with --groups-num 1")
