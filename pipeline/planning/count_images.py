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
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.progress import Progress, working
from data_manifest.store.find import read_recipe_of
from data_manifest.store.recipe import CURRENT, is_published
from data_manifest.store.references import MANIFEST_STAGES
from data_manifest.tables import table_files
from pipeline.execution.disk_space import check_space
from pipeline.execution.executor import run_with_progress
from pipeline.groups.classes import complete_frames, count_classes, sum_counts
from pipeline.groups.settings import GroupSettings
from pipeline.listing.list_images import Listing, list_images
from pipeline.listing.shuffle import ROWS_PER_PARTITION, Shuffle, SpilledPaths
from pipeline.manifest.build_manifest import manifest_recipe, summarise
from pipeline.manifest.build_partition import Built, Counts, count, read_otherwise
from pipeline.metadata.paths import distinct_paths
from pipeline.metadata.read_names import read_names
from pipeline.metadata.years import count_years

Job = TypeVar("Job")
Rules = list[GroupSettings]  # distinct ways to make classes
Frames = list[pl.DataFrame]  # the images by year, then by class for each rule


@dataclass(frozen=True)
class ImageCounts:
    """The counts of all images."""

    manifest: Path | None  # the published one, if there is one
    summary: dict[str, Any]  # as in the recipe of a manifest
    by_year: pl.DataFrame  # from `count_years`
    by_class: dict[GroupSettings, pl.DataFrame]  # from `sum_counts`


def count_images(
    images: ImagesFolder, artifacts: Path, groupings: Sequence[GroupSettings], rescan: bool = False
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
    rule_of = {each: GroupSettings(M=each.M, alpha=each.alpha, years=each.years) for each in groupings}
    rules = list(dict.fromkeys(rule_of.values()))
    folders = (images, images / CURRENT) if isinstance(images, Path) else ()
    manifest = next(filter(is_published, folders), None)
    if manifest is None:
        name = data_set_name(images, artifacts, claim=False)
        was_built = (artifacts / "manifest" / name).is_dir()  # otherwise not even the listing is cached
        listing = list_images(images, artifacts if was_built else None, rescan)
        built = manifest_recipe(name, listing, strict=True).folder(artifacts)
        manifest = built if is_published(built) else None
    if manifest is not None:
        summary = read_recipe_of(manifest, "plan", MANIFEST_STAGES)["summary"]
        parts = _count_all(partial(_count_table, rules), table_files(manifest, "manifest"))
    else:
        summary, parts = _count_names(listing, rules)
    by_year, *by_class = _add_up(parts)
    by_rule = dict(zip(rules, by_class, strict=True))
    return ImageCounts(manifest, summary, by_year, {each: by_rule[rule] for each, rule in rule_of.items()})


def _count_all(work: Callable[[Job], Any], jobs: Sequence[Job]) -> list[Any]:
    return run_with_progress(work, jobs, Progress("counting images", len(jobs), "partitions"))


def _count_table(rules: Rules, manifest_file: Path) -> Frames:
    return _count(pl.scan_parquet(manifest_file, glob=False), rules)


def _count(images: pl.LazyFrame, rules: Rules) -> Frames:
    return [count_years(images), *(count_classes(images, rule) for rule in rules)]


def _count_names(listing: Listing, rules: Rules) -> tuple[dict[str, Any], list[Frames]]:
    """Return the summary of a manifest of listed names, and the counts of each partition."""
    with tempfile.TemporaryDirectory() as scratch:
        check_space(Path(scratch), listing.estimate()[1], "sorting paths")
        shuffle = Shuffle(listing, Path(scratch), ROWS_PER_PARTITION)
        jobs = shuffle.paths(shuffle.partitions)
        parts: dict[int, tuple[Counts, Frames]] = {}
        negative, unread = False, list(range(len(jobs)))
        while unread:  # a second time if headings of -1 were misread
            work = partial(_count_paths, rules, negative)
            parts |= zip(unread, _count_all(work, [jobs[each] for each in unread]), strict=True)
            negative, unread = read_otherwise({number: counts for number, (counts, _) in parts.items()})
    built = [Built("", counts, is_linked=False) for counts, _ in parts.values()]
    summary = {"origin": str(listing.origin), **summarise(built)}
    if not summary["usable"]:
        none = f"none of the {summary['files']:,} files is a usable image" if summary["files"] else "no image in it"
        raise UserError(f"{listing.origin}: {none}")
    return summary, [frames for _, frames in parts.values()]


def _count_paths(rules: Rules, negative_headings: bool, images: SpilledPaths) -> tuple[Counts, Frames]:
    paths = distinct_paths(images.read())
    names = read_names(paths, True, negative_headings)
    return {"repeats": paths.repeats, **count(names)}, _count(names.lazy().filter(pl.col("reject").is_null()), rules)


@working("adding up the counts")
def _add_up(parts: Sequence[Frames]) -> Frames:
    by_year, *by_class = (pl.concat(frames) for frames in zip(*parts, strict=True))
    years = by_year.group_by("year").agg(pl.col("num_images").sum()).sort("year")
    return [years, *(sum_counts(complete_frames(each)) for each in by_class)]
