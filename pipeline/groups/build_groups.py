"""Build the groups of a manifest: the classes of each group and their members."""

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.progress import Percentage, Progress, share, working
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, is_published, read_recipe
from data_manifest.store.staging import remove_dead_staging
from data_manifest.tables import table_files, write_table
from pipeline.execution.disk_space import check_space, room_for_groups
from pipeline.execution.executor import run_all
from pipeline.groups.classes import CLASS_KEY, complete_frames, number_classes, sum_counts
from pipeline.groups.gather import MEMBERS, VERSION, GatherJob, in_bundles, plan_files, write_members
from pipeline.groups.preselected_images import warn_if_manifest_is_preselected
from pipeline.groups.reuse import find_earlier, find_same_classes, link_counts, link_members
from pipeline.groups.settings import GroupSettings
from pipeline.groups.spread import (
    COUNTS,
    SpreadJob,
    places_in_spread_files,
    read_counts,
    spread_file,
    spread_partition,
)
from pipeline.groups.summary import check_any_class, describe, log_summary, summarise_classes
from pipeline.metadata.years import count_excluded_by_year, count_years_of, sum_year_counts
from pipeline.verification.drop_bad_images import Verified, left_out_as_bad, verified_by

PATHS_SAMPLED = 10_000
SCRATCH = "scratch"
Job = TypeVar("Job")
logger = logging.getLogger(__name__)


def groups_recipe(name: str, manifest_digest: str, settings: GroupSettings, verified: Verified | None = None) -> Recipe:
    """Return the recipe of groups: the manifest, the settings, and how its images were verified, if they were."""
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

    An artifact that is published already is returned as it is. Group and class numbers depend only on the images and
    the settings. Images without a heading are left out, unless alpha is 360, and so are those of other years than
    `years`, if given.

    Args:
        manifest: Folder of a published manifest, or of what `drop_bad_images` made of one.
        artifacts: Where artifacts are published.
        settings: The grouping; the paper's by default.
        on_percentage: Called with the percentage done.
        executor: Reads and writes the tables; threads of this process by default.

    Raises:
        UserError: No class has enough images, no image is of the given years, or the disk is too full.
    """
    settings = settings or GroupSettings()
    settings.warn_if_unwise()
    made_from = read_recipe(manifest)
    recipe = groups_recipe(made_from["name"], made_from["digest"], settings, verified_by(made_from))
    if published := find_published(artifacts, recipe, adopt={}):
        return published
    files = table_files(manifest.absolute(), "manifest")  # workers may run in other folders
    left_out = {**_count_other_years(files, settings, executor), **left_out_as_bad(made_from)}
    warn_if_manifest_is_preselected(files, settings)
    remove_dead_staging(artifacts)  # before the disk is checked: it may be full of that
    earlier = find_earlier(artifacts.absolute(), recipe)
    needed_bytes = room_for_groups(*_estimate(files, made_from["summary"]["usable"]))
    check_space(artifacts, needed_bytes, f"groups of {recipe.name}", at_most=earlier is not None)
    tables = _Tables(files, settings, earlier, on_percentage, executor)
    try:
        _build(artifacts.absolute(), recipe, left_out, tables)
    except (FileNotFoundError, UserError):
        if earlier is None or is_published(earlier):
            raise
        logger.info("%s was removed while it was being reused: building without it", earlier)
        _build(artifacts.absolute(), recipe, left_out, replace(tables, earlier=None))
    return recipe.folder(artifacts)


@dataclass(frozen=True)
class _Tables:
    """Writes class counts and members of the partitions of a manifest, or links them from earlier groups."""

    files: list[Path]
    settings: GroupSettings
    earlier: Path | None
    on_percentage: Percentage
    executor: Executor | None

    def count(self, folder: Path) -> pl.DataFrame:
        """Write the class counts of each partition, and return them; spread the images of those counted now."""
        counts_files = [folder / COUNTS / file.name for file in self.files]
        counts_files[0].parent.mkdir()
        (folder / SCRATCH).mkdir()
        jobs = [
            SpreadJob(file, self.settings, spread_file(folder / SCRATCH, partition), counts_file)
            for partition, (file, counts_file) in enumerate(zip(self.files, counts_files, strict=True))
            if self.earlier is None or not link_counts(self.earlier, counts_file)
        ]
        self._run(spread_partition, jobs, len(jobs), "sorting images", "partitions", (0, 50))
        with working("reading the class counts"):
            return read_counts(counts_files)

    def write_members(self, folder: Path, classes: pl.DataFrame, places: pl.DataFrame) -> int:
        """Write the members of numbered classes, and return how many files were linked.

        Args:
            folder: The artifact.
            classes: What `number_classes` returns, with `row`: the rows of `places` of the class.
            places: What `places_in_spread_files` returns.
        """
        (folder / MEMBERS).mkdir()
        with working("planning the files"):
            planned = find_same_classes(plan_files(classes), self.earlier)
            linked = [] if self.earlier is None else link_members(planned, self.earlier, folder / MEMBERS)
            planned = in_bundles(planned.filter(~pl.col("file").is_in(linked))).drop(*CLASS_KEY, "members_hash")
            new = planned.filter(pl.col("file_before").is_null()).select("number", "bundle", "row").explode("row")
            new_places = pl.concat([new.drop("row"), places[new["row"]]], how="horizontal")
            spread_files = {n: spread_file(folder / SCRATCH, n) for n in new_places["partition"].unique().sort()}
            jobs = [
                SpreadJob(self.files[partition], self.settings, target, None)
                for partition, target in spread_files.items()
                if not target.exists()
            ]
        self._run(spread_partition, jobs, len(jobs), "sorting images", "partitions", (50, 60))
        bundles = self._gather_jobs(folder, planned.drop("row"), new_places)
        self._run(write_members, bundles, planned["bundle"].n_unique(), "writing groups", "bundles", (60, 100))
        shutil.rmtree(folder / SCRATCH)
        return len(linked)

    def _gather_jobs(self, folder: Path, planned: pl.DataFrame, places: pl.DataFrame) -> Iterator[GatherJob]:
        planned = planned.with_columns(pl.col("file", "file_before").cast(pl.Categorical))  # less to send
        of_bundle = places.partition_by("bundle", as_dict=True, include_key=False)
        for bundle, classes in planned.partition_by("bundle", as_dict=True, include_key=False).items():
            found = of_bundle.get(bundle, places.clear())
            yield GatherJob(folder / MEMBERS, classes, found, folder / SCRATCH, self.earlier)

    def _run(
        self,
        work: Callable[[Job], None],
        jobs: Iterable[Job],
        count: int,
        what: str,
        unit: str,
        percent: tuple[int, int],
    ) -> None:
        with Progress(what, count, unit, share(self.on_percentage, *percent)) as progress:
            list(run_all(work, jobs, progress, self.executor))


def _build(artifacts: Path, recipe: Recipe, left_out: dict[str, Any], tables: _Tables) -> None:
    settings, summary = tables.settings, dict[str, Any]()
    with publishing(artifacts, recipe, summary) as folder:
        counts = tables.count(folder)
        with working("numbering the classes"):
            total = sum_counts(complete_frames(counts.with_row_index("row")))
            places = places_in_spread_files(counts)
            summary |= {**summarise_classes(total, settings), **left_out}
            check_any_class(summary, settings)
            classes = number_classes(total, settings)
            write_table(classes.select(schemas.CLASSES.names), folder / "classes" / "classes.parquet", schemas.CLASSES)
        log_summary(recipe.name, classes, summary, settings)
        del counts, total  # their memory is needed to write the members of tens of millions of images
        summary["files_from_before"] = tables.write_members(folder, classes, places)
        summary["made"] = describe(summary)


def _count_other_years(files: list[Path], settings: GroupSettings, executor: Executor | None) -> dict[str, int]:
    if settings.years is None:
        return {}
    with Progress("counting years", len(files), "partitions") as progress:
        counted = sum_year_counts(run_all(count_years_of, files, progress, executor))
    return count_excluded_by_year(counted, settings.years)


def _estimate(files: list[Path], num_images: int) -> tuple[int, int]:
    """Return a number of images and the bytes of their paths, estimated from the first paths."""
    lengths = pl.scan_parquet(files, glob=False).head(PATHS_SAMPLED).select(pl.col("path").str.len_bytes().mean())
    return num_images, round(num_images * lengths.collect().item())
