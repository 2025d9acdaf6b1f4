"""Count images, years and classes as the manifest and the groups would, and write nothing.

A manifest that is there is read; else the names are, a partition at a time.
"""

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
from data_manifest.store.recipe import CURRENT, is_published, read_recipe
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

Rules = tuple[GroupSettings, ...]
Job = TypeVar("Job")


@dataclass(frozen=True)
class Part:
    """What was counted in a partition; `counts` is empty where a manifest's recipe has it already."""

    counts: Counts
    by_year: pl.DataFrame
    by_class: list[pl.DataFrame]  # for each rule


@dataclass(frozen=True)
class Counted:
    """What was counted in all images.

    Args:
        origin: The folder or the list file that the images were listed from.
        manifest: The manifest's artifact, if there is one.
        summary: As in the recipe of a manifest.
        by_year: `num_images` of each `year`, null for images without one.
        by_class: What `add_up` gives, by `counting_rule`.
    """

    origin: str
    manifest: Path | None
    summary: dict[str, Any]
    by_year: pl.DataFrame
    by_class: dict[GroupSettings, pl.DataFrame]


def counting_rule(settings: GroupSettings) -> GroupSettings:
    """Return the part of a grouping that decides classes: N, L and the least number of images work on their counts."""
    return GroupSettings(M=settings.M, alpha=settings.alpha, years=settings.years)


def count_images(images: Path, artifacts: Path, groupings: Sequence[GroupSettings], rescan: bool = False) -> Counted:
    """Count the images of a folder, or of a manifest, in the classes of several groupings.

    Args:
        images: A folder of images, with a list file beside it or not, or the folder of a published manifest, or the one
            that holds its `current`.
        artifacts: Where a manifest of these very images is looked for.
        groupings: What is counted.
        rescan: As in `list_images`.

    Raises:
        UserError: The images cannot be listed, or the artifact is no manifest.
    """
    rules = tuple(dict.fromkeys(map(counting_rule, groupings)))
    for artifact in (images, images / CURRENT):
        if is_published(artifact):
            return _count_manifest(_require_manifest(artifact), rules)
    name = data_set_name(images, artifacts, claim=False)
    built_before = (artifacts / "manifest" / name).is_dir()  # if not, nothing is written, not even what is known of it
    listing = list_images(images, artifacts if built_before else None, rescan)
    manifest = manifest_recipe(name, listing, strict=True).folder(artifacts)
    return _count_manifest(manifest, rules) if is_published(manifest) else _count_names(listing, rules)


def _require_manifest(artifact: Path) -> Path:
    stage = read_recipe(artifact)["stage"]
    if stage not in MANIFEST_STAGES:
        raise UserError(f"{artifact} is an artifact of {stage}: give that of a manifest, or a folder of images")
    return artifact


def _count_manifest(manifest: Path, rules: Rules) -> Counted:
    parts = _count_all(_count_file, table_files(manifest, "manifest"), rules)
    return _together(parts, rules, read_recipe(manifest)["summary"], manifest)


def _count_names(listing: Listing, rules: Rules) -> Counted:
    with tempfile.TemporaryDirectory() as scratch:
        check_space(Path(scratch), listing.estimate()[1], "sorting paths")
        shuffle = Shuffle(listing, Path(scratch), ROWS_PER_PARTITION)
        jobs = shuffle.paths(shuffle.partitions)
        parts = dict(enumerate(_count_all(_count_names_of, jobs, rules)))
        negative, wrong = read_otherwise({number: part.counts for number, part in parts.items()})
        if wrong:
            again = _count_all(partial(_count_names_of, negative_headings=negative), [jobs[n] for n in wrong], rules)
            parts |= zip(wrong, again, strict=True)
    listing.check_unchanged()
    summary = {"origin": str(listing.origin), **summarise([Built("", part.counts, False) for part in parts.values()])}
    if not summary["usable"]:
        none = f"none of the {summary['files']:,} files is a usable image" if summary["files"] else "no image in it"
        raise UserError(f"{listing.origin}: {none}")
    return _together(list(parts.values()), rules, summary, None)


def _count_all(work: Callable[[Rules, Job], Part], jobs: Sequence[Job], rules: Rules) -> list[Part]:
    with Progress("counting images", len(jobs), "partitions") as progress:
        return list(run_all(partial(work, rules), jobs, progress))


def _count_file(rules: Rules, manifest_file: Path) -> Part:
    return _count(pl.scan_parquet(manifest_file, glob=False), rules)


def _count_names_of(rules: Rules, images: SpilledPaths, negative_headings: bool = False) -> Part:
    paths = distinct_paths(images.read())
    names = read_names(paths, True, negative_headings)
    counts = {"repeats": paths.repeats, **count(names)}
    return _count(names.lazy().filter(pl.col("reject").is_null()), rules, counts)


def _count(images: pl.LazyFrame, rules: Rules, counts: Counts | None = None) -> Part:
    return Part(counts or {}, count_years(images), [count_classes(images, rule) for rule in rules])


@working("adding up the counts")
def _together(parts: list[Part], rules: Rules, summary: dict[str, Any], manifest: Path | None) -> Counted:
    by_class = {
        rule: sum_counts(complete_frames(pl.concat(part.by_class[number] for part in parts)))
        for number, rule in enumerate(rules)
    }
    by_year = sum_year_counts(part.by_year for part in parts)
    return Counted(summary["origin"], manifest, summary, by_year, by_class)
