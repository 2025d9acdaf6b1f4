"""Count the images of a folder or manifest, by year and by class, without writing tables."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import data_set_name
from data_manifest.progress import Progress, working
from data_manifest.store.find import read_recipe_of
from data_manifest.store.recipe import CURRENT, is_published
from data_manifest.store.references import MANIFEST_STAGES
from data_manifest.tables import table_files
from pipeline.execution.disk_space import check_space
from pipeline.execution.executor import run_all
from pipeline.groups.classes import complete_frames, count_classes, sum_counts
from pipeline.groups.settings import GroupSettings
from pipeline.listing.list_images import Listing, list_images
from pipeline.listing.shuffle import ROWS_PER_PARTITION, Shuffle, SpilledPaths
from pipeline.manifest.build_manifest import manifest_recipe, summarise
from pipeline.manifest.build_partition import Built, Counts, count, read_otherwise
from pipeline.metadata.paths import distinct_paths
from pipeline.metadata.read_names import read_names
from pipeline.metadata.years import count_years, sum_year_counts

Job = TypeVar("Job")


@dataclass(frozen=True)
class PartitionCounts:
    """The counts of a partition: as in a manifest (empty if it was built already), by year, and by class."""

    counts: Counts
    by_year: pl.DataFrame
    by_class: dict[GroupSettings, pl.DataFrame]


@dataclass(frozen=True)
class ImageCounts:
    """The counts of all images.

    Args:
        manifest: The published manifest of the images, if there is one.
        summary: As in the recipe of a manifest.
        by_year: `num_images` of each `year`, null for images without one.
        by_class: Results of `sum_counts`, by `class_settings`.
    """

    manifest: Path | None
    summary: dict[str, Any]
    by_year: pl.DataFrame
    by_class: dict[GroupSettings, pl.DataFrame]


def class_settings(settings: GroupSettings) -> GroupSettings:
    """Return the settings that decide the class of an image, with the others at their defaults."""
    return GroupSettings(M=settings.M, alpha=settings.alpha, years=settings.years)


def count_images(
    images: Path, artifacts: Path, groupings: Sequence[GroupSettings], rescan: bool = False
) -> ImageCounts:
    """Count images by year, and by class for several groupings.

    Args:
        images: Folder of images, or of a published manifest, or the parent of its `current`.
        artifacts: Artifacts folder. If it has the manifest of these images, that is counted instead of their names.
        groupings: The groupings.
        rescan: As in `list_images`.

    Raises:
        UserError: The images cannot be listed, none is usable, or the artifact is not a manifest.
    """
    rules = {class_settings(each) for each in groupings}
    for artifact in (images, images / CURRENT):
        if is_published(artifact):
            return _count_manifest(artifact, rules)
    name = data_set_name(images, artifacts, claim=False)
    was_built = (artifacts / "manifest" / name).is_dir()  # otherwise not even the listing is cached
    listing = list_images(images, artifacts if was_built else None, rescan)
    manifest = manifest_recipe(name, listing, strict=True).folder(artifacts)
    return _count_manifest(manifest, rules) if is_published(manifest) else _count_names(listing, rules)


def _count_manifest(manifest: Path, rules: set[GroupSettings]) -> ImageCounts:
    summary = read_recipe_of(manifest, "plan", MANIFEST_STAGES)["summary"]
    parts = _count_all(_count_table, table_files(manifest, "manifest"), rules)
    return _add_up(parts, summary, manifest)


def _count_names(listing: Listing, rules: set[GroupSettings]) -> ImageCounts:
    with tempfile.TemporaryDirectory() as scratch:
        check_space(Path(scratch), listing.estimate()[1], "sorting paths")
        shuffle = Shuffle(listing, Path(scratch), ROWS_PER_PARTITION)
        jobs = shuffle.paths(shuffle.partitions)
        parts = dict(enumerate(_count_all(_count_paths, jobs, rules)))
        negative, wrong = read_otherwise({number: part.counts for number, part in parts.items()})
        if wrong:
            count_again = partial(_count_paths, negative_headings=negative)
            parts |= zip(wrong, _count_all(count_again, [jobs[number] for number in wrong], rules), strict=True)
    summary = {"origin": str(listing.origin), **summarise([Built("", part.counts, False) for part in parts.values()])}
    if not summary["usable"]:
        none = f"none of the {summary['files']:,} files is a usable image" if summary["files"] else "no image in it"
        raise UserError(f"{listing.origin}: {none}")
    return _add_up(list(parts.values()), summary, None)


def _count_all(
    work: Callable[[set[GroupSettings], Job], PartitionCounts], jobs: Sequence[Job], rules: set[GroupSettings]
) -> list[PartitionCounts]:
    with Progress("counting images", len(jobs), "partitions") as progress:
        return list(run_all(partial(work, rules), jobs, progress))


def _count_table(rules: set[GroupSettings], manifest_file: Path) -> PartitionCounts:
    return _count(pl.scan_parquet(manifest_file, glob=False), rules, {})


def _count_paths(rules: set[GroupSettings], images: SpilledPaths, negative_headings: bool = False) -> PartitionCounts:
    paths = distinct_paths(images.read())
    names = read_names(paths, True, negative_headings)
    counts = {"repeats": paths.repeats, **count(names)}
    return _count(names.lazy().filter(pl.col("reject").is_null()), rules, counts)


def _count(images: pl.LazyFrame, rules: set[GroupSettings], counts: Counts) -> PartitionCounts:
    return PartitionCounts(counts, count_years(images), {rule: count_classes(images, rule) for rule in rules})


@working("adding up the counts")
def _add_up(parts: list[PartitionCounts], summary: dict[str, Any], manifest: Path | None) -> ImageCounts:
    by_class = {
        rule: sum_counts(complete_frames(pl.concat(part.by_class[rule] for part in parts)))
        for rule in parts[0].by_class
    }
    return ImageCounts(manifest, summary, sum_year_counts(part.by_year for part in parts), by_class)
