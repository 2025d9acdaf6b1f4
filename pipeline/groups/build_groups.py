"""Build the groups: classes counted, spread over N * N * L groups, and the images of each class written by group."""

import logging
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.progress import Percentage, Progress, working
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, read_recipe
from data_manifest.store.staging import remove_dead_staging
from data_manifest.tables import table_files, write_table
from pipeline.execution.disk_space import check_space, room_for_groups
from pipeline.execution.executor import run_all
from pipeline.groups.classes import add_up, complete_frames, number_classes
from pipeline.groups.group_tables import GroupTables
from pipeline.groups.preselected_images import warn_of_selection_in
from pipeline.groups.reuse import Earlier, find_earlier
from pipeline.groups.settings import GroupSettings
from pipeline.groups.summary import check_any_class, log_summary, summarise_classes
from pipeline.metadata.years import add_up_years, count_years_of, left_out_by_year
from pipeline.verification.drop_bad_images import Verified, left_out_as_bad, verified_by

VERSION = 5
PATHS_LOOKED_AT = 10_000
logger = logging.getLogger(__name__)


def groups_recipe(name: str, manifest_digest: str, settings: GroupSettings, verified: Verified | None = None) -> Recipe:
    """Return what makes groups: a manifest, how its bad images were left out if they were, and the settings."""
    more_settings, more_inputs = ({}, {}) if verified is None else (verified.settings, verified.inputs)
    inputs = {"manifest": manifest_digest, **more_inputs}
    return Recipe("groups", name, VERSION, {**settings.as_dict(), **more_settings}, inputs)


def build_groups(
    manifest: Path,
    artifacts: Path,
    settings: GroupSettings | None = None,
    on_percentage: Percentage = None,
    executor: Executor | None = None,
) -> Path:
    """Write the classes and members of all groups, and return the folder of the artifact.

    What is published already is not made again. Group and class numbers depend on the images and the settings alone.
    Images without a heading are left out, unless alpha is 360, as are those of other years than `years`, if given.

    Args:
        manifest: Folder of a published manifest, or of what `drop_bad_images` made of one.
        artifacts: Where artifacts are published.
        settings: The grouping; the paper's by default.
        on_percentage: Told of the progress.
        executor: Reads and writes the tables; threads of this process by default.

    Raises:
        UserError: No class has enough images, no image is of the years asked for, or there is no room for the tables.
    """
    settings = settings or GroupSettings()
    settings.warn_if_unwise()
    made_from = read_recipe(manifest)
    recipe = groups_recipe(made_from["name"], made_from["digest"], settings, verified_by(made_from))
    if published := find_published(artifacts, recipe, adopt={}):
        return published
    files = table_files(manifest.absolute(), "manifest")  # jobs may go to machines that work in other folders
    left_out = {**_leave_out_years(files, settings, executor), **left_out_as_bad(made_from)}
    warn_of_selection_in(files, settings)
    remove_dead_staging(artifacts)  # nothing of it is taken over: it may be what the disk is full of
    earlier = find_earlier(artifacts.absolute(), recipe)
    needed_bytes = room_for_groups(*_estimate(files, made_from["summary"]["usable"]))
    check_space(artifacts, needed_bytes, f"groups of {recipe.name}", at_most=earlier is not None)
    build = partial(_build, artifacts.absolute(), recipe, files, settings, left_out, on_percentage, executor)
    try:
        build(earlier)
    except (FileNotFoundError, UserError):
        if earlier is None or earlier.is_there():
            raise
        logger.info("%s has been removed meanwhile: nothing is taken over from it", earlier.groups)
        build(None)
    return recipe.folder(artifacts)


def _build(
    artifacts: Path,
    recipe: Recipe,
    files: list[Path],
    settings: GroupSettings,
    left_out: dict[str, Any],
    on_percentage: Percentage,
    executor: Executor | None,
    earlier: Earlier | None,
) -> None:
    summary: dict[str, Any] = {}
    with publishing(artifacts, recipe, summary) as staging:
        tables = GroupTables(files, settings, staging, earlier, on_percentage, executor)
        counted = tables.count()
        with working("numbering the classes"):
            total = add_up(complete_frames(counted))
            summary |= {**summarise_classes(total, settings), **left_out}
            check_any_class(summary, settings)
            classes = number_classes(total.filter(pl.col("num_images") >= settings.min_images_per_class), settings)
            write_table(classes, staging / "classes" / "classes.parquet", schemas.CLASSES)
        summary["files_from_before"] = tables.write_members(classes, counted)
        summary["made"] = (
            f"{summary['classes']:,} classes of {summary['images']:,} images in {summary['groups']:,} groups"
        )
        log_summary(recipe.name, classes, summary, settings)


def _estimate(files: list[Path], num_images: int) -> tuple[int, int]:
    """Return a number of images with the bytes of their paths, if these are as long as the first ones."""
    lengths = pl.scan_parquet(files, glob=False).head(PATHS_LOOKED_AT).select(pl.col("path").str.len_bytes().mean())
    return num_images, round(num_images * lengths.collect().item())


def _leave_out_years(files: list[Path], settings: GroupSettings, executor: Executor | None) -> dict[str, int]:
    if settings.years is None:
        return {}
    with Progress("counting years", len(files), "partitions") as progress:
        counted = add_up_years(run_all(count_years_of, files, progress, executor))
    return left_out_by_year(counted, settings.years)
