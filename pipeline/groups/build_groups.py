"""Build the groups of a manifest: the classes of each group and their members."""

import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.progress import Percentage, Progress, share, working
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, is_published, read_recipe
from data_manifest.store.staging import remove_dead_staging
from data_manifest.tables import table_files, write_table
from pipeline.execution.disk_space import check_space, room_for_groups
from pipeline.execution.executor import run_with_progress
from pipeline.groups.classes import CLASS_KEY, complete_frames, number_classes, sum_counts
from pipeline.groups.gather import MEMBERS, VERSION, GatherJob, in_bundles, plan_files, write_members
from pipeline.groups.preselected_images import warn_if_manifest_is_preselected
from pipeline.groups.reuse import find_earlier, find_same_classes, link_counts, link_members
from pipeline.groups.settings import GroupSettings
from pipeline.groups.spread import COUNTS, SpreadJob, places_in_spread_files, read_counts, spread_file, spread_partition
from pipeline.groups.summary import check_any_class, describe, log_summary, summarise_classes
from pipeline.metadata.years import count_excluded_by_year, count_years
from pipeline.verification.drop_bad_images import CHECKS, LEFT_OUT, VERIFIED, Verified, verified_by

PATHS_SAMPLED = 10_000
SCRATCH = "scratch"
logger = logging.getLogger(__name__)


def groups_recipe(name: str, manifest_digest: str, settings: GroupSettings, verified: Verified | None = None) -> Recipe:
    """Return the recipe of groups: the manifest, the settings, and how its images were verified, if they were."""
    decisive, inputs = settings.as_dict(), {"manifest": manifest_digest}
    if verified is not None:
        decisive[VERIFIED], inputs[CHECKS] = verified
    return Recipe("groups", name, VERSION, decisive, inputs)


def build_groups(
    manifest: Path,
    artifacts: Path,
    settings: GroupSettings | None = None,
    on_percentage: Percentage = None,
    executor: Executor | None = None,
) -> Path:
    """Write the classes and members of all groups, and return the folder of the artifact.

    A published artifact of the same recipe is returned as it is. Group and class numbers depend only on the images and
    the settings. Images without a heading are dropped unless alpha is 360, and so are images of other years than
    `years`.

    Args:
        manifest: Folder of a published manifest, or of the result of `drop_bad_images`.
        artifacts: Artifacts folder.
        settings: The grouping; the paper's by default.
        on_percentage: Called with the percentage done.
        executor: Reads and writes the tables; threads of this process by default.

    Raises:
        UserError: No class has enough images, no image is of the given years, or the disk is too full.
    """
    settings = settings or GroupSettings()
    settings.warn_if_unwise()
    manifest_recipe = read_recipe(manifest)
    verified = verified_by(manifest_recipe)
    recipe = groups_recipe(manifest_recipe["name"], manifest_recipe["digest"], settings, verified)
    if published := find_published(artifacts, recipe, adopt={}):
        return published
    files = table_files(manifest.absolute(), "manifest")  # workers may run in other folders
    left_out = dict[str, Any]()
    if settings.years is not None:
        with working("counting years"):
            by_year = count_years(pl.scan_parquet(files, glob=False))
        left_out |= count_excluded_by_year(by_year, settings.years)
    if verified is not None:
        left_out[LEFT_OUT] = manifest_recipe["summary"]["bad"]
    warn_if_manifest_is_preselected(files, settings)
    remove_dead_staging(artifacts)  # before the disk is checked: it may be full of that
    earlier = find_earlier(artifacts.absolute(), recipe)
    num_images = manifest_recipe["summary"]["usable"]
    first_paths = pl.scan_parquet(files, glob=False).head(PATHS_SAMPLED).select(pl.col("path").str.len_bytes().mean())
    needed_bytes = room_for_groups(num_images, round(num_images * first_paths.collect().item()))
    check_space(artifacts, needed_bytes, f"groups of {recipe.name}", at_most=earlier is not None)
    build = GroupsBuild(artifacts.absolute(), recipe, files, settings, left_out, earlier, on_percentage, executor)
    try:
        return build.publish()
    except (FileNotFoundError, UserError):
        if earlier is None or is_published(earlier):
            raise
        logger.info("%s was removed while it was being reused: building without it", earlier)
        return replace(build, earlier=None).publish()


@dataclass(frozen=True)
class GroupsBuild:
    """Builds groups from the partitions of a manifest."""

    artifacts: Path  # absolute
    recipe: Recipe
    files: list[Path]  # the partitions
    settings: GroupSettings
    left_out: dict[str, Any]  # images by reason: years, bad images
    earlier: Path | None  # groups whose equal class counts and members are reused
    on_percentage: Percentage
    executor: Executor | None

    def publish(self) -> Path:
        """Build and publish the groups, and return their folder."""
        summary = dict[str, Any]()
        with publishing(self.artifacts, self.recipe, summary) as folder:
            for name in (COUNTS, SCRATCH, MEMBERS):
                (folder / name).mkdir()
            counts = self._count_classes(folder)
            with working("numbering the classes"):
                total = sum_counts(complete_frames(counts.with_row_index("row")))
                places = places_in_spread_files(counts)
                summary |= {**summarise_classes(total, self.settings), **self.left_out}
                check_any_class(summary, self.settings)
                classes = number_classes(total, self.settings)
                classes_file = folder / "classes" / "classes.parquet"
                write_table(classes.select(schemas.CLASSES.names), classes_file, schemas.CLASSES)
            log_summary(self.recipe.name, classes, summary, self.settings)
            del counts, total  # their memory is needed to write the members of tens of millions of images
            summary["files_from_before"] = self._write_members(folder, classes, places)
            summary["made"] = describe(summary)
            shutil.rmtree(folder / SCRATCH)
        return self.recipe.folder(self.artifacts)

    def _count_classes(self, folder: Path) -> pl.DataFrame:
        """Write or link the class counts of each partition, and return them; where written, spread the images too."""
        counts_files = [folder / COUNTS / file.name for file in self.files]
        jobs = [
            SpreadJob(file, self.settings, spread_file(folder / SCRATCH, partition), counts_file)
            for partition, (file, counts_file) in enumerate(zip(self.files, counts_files, strict=True))
            if self.earlier is None or not link_counts(self.earlier, counts_file)
        ]
        progress = Progress("sorting images", len(jobs), "partitions", share(self.on_percentage, 0, 50))
        run_with_progress(spread_partition, jobs, progress, self.executor)
        with working("reading the class counts"):
            return read_counts(counts_files)

    def _write_members(self, folder: Path, classes: pl.DataFrame, places: pl.DataFrame) -> int:
        """Write or link the members of numbered classes, and return how many files were linked.

        `row` of the classes lists their rows of `places`, the result of `places_in_spread_files`.
        """
        with working("planning the files"):
            planned = find_same_classes(plan_files(classes), self.earlier)
            linked = [] if self.earlier is None else link_members(planned, self.earlier, folder / MEMBERS)
            planned = in_bundles(planned.filter(~pl.col("file").is_in(linked))).drop(*CLASS_KEY, "members_hash")
            new = planned.filter(pl.col("file_before").is_null()).select("number", "bundle", "row").explode("row")
            new_places = pl.concat([new.drop("row"), places[new["row"]]], how="horizontal")
            partitions = new_places["partition"].unique().sort()
            spread_jobs = [
                SpreadJob(self.files[partition], self.settings, target, None)
                for partition in partitions
                if not (target := spread_file(folder / SCRATCH, partition)).exists()  # its counts were linked
            ]
        progress = Progress("sorting images", len(spread_jobs), "partitions", share(self.on_percentage, 50, 60))
        run_with_progress(spread_partition, spread_jobs, progress, self.executor)
        num_bundles = planned["bundle"].n_unique()
        progress = Progress("writing groups", num_bundles, "bundles", share(self.on_percentage, 60, 100))
        jobs = self._gather_jobs(folder, planned.drop("row"), new_places)
        run_with_progress(write_members, jobs, progress, self.executor)
        return len(linked)

    def _gather_jobs(self, folder: Path, planned: pl.DataFrame, places: pl.DataFrame) -> Iterator[GatherJob]:
        planned = planned.with_columns(pl.col("file", "file_before").cast(pl.Categorical))  # less to send
        places_of = places.partition_by("bundle", as_dict=True, include_key=False)
        for bundle, classes in planned.partition_by("bundle", as_dict=True, include_key=False).items():
            bundle_places = places_of.get(bundle, places.clear())
            yield GatherJob(folder / MEMBERS, classes, bundle_places, folder / SCRATCH, self.earlier)
