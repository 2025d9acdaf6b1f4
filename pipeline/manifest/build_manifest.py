"""Build a manifest: one row per usable image, and one reject with its reason per other file."""

import contextlib
import logging
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import data_set_name
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.progress import Progress, working
from data_manifest.store.find import find_artifacts
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, nest_counts
from data_manifest.store.staging import dead_staging
from data_manifest.tables import read_table
from pipeline.execution.disk_space import check_space, room_for_manifest
from pipeline.execution.executor import run_all
from pipeline.listing.folder_scan import IMAGE_SUFFIXES
from pipeline.listing.leaves import LeafRange
from pipeline.listing.list_images import Listing, list_images
from pipeline.listing.shuffle import ROWS_PER_PARTITION, Shuffle
from pipeline.manifest.build_partition import (
    VERSION,
    Built,
    ManifestBuild,
    build_partition,
    link_partition,
    read_otherwise,
)
from pipeline.sources.source import NAMES_SOURCE, Source

NOTES = {  # by the names of counts
    "rejects": "rejected: ",
    "headings": "with heading ",
    "UTM kept": "images kept with a UTM position that cannot be in its zone: ",
    "repeats": "listed again, counted once",
    "without_heading": "without a heading",
    "odd_times": "with an unreadable timestamp, left out",
    "apart_over_1_m": "with UTM and latitude/longitude more than 1 m apart",
    "apart_over_1_km": "with them more than 1 km apart, kept",
}
logger = logging.getLogger(__name__)


def manifest_recipe(name: str, listing: Listing, strict: bool, source: Source = NAMES_SOURCE) -> Recipe:
    """Return the recipe of a manifest."""
    inputs = {"images": listing.fingerprint, **source.inputs(listing)}
    return Recipe("manifest", name, VERSION, {"strict": strict, **source.settings}, inputs)


def build_manifest(
    images_folder: ImagesFolder,
    artifacts: Path,
    name: str | None = None,
    strict: bool = True,
    listing: Listing | None = None,
    on_percentage: Callable[[int], None] | None = None,
    executor: Executor | None = None,
    source: Source = NAMES_SOURCE,
) -> Path:
    """Write the manifest and the rejects of an images folder, unless they are published; return their folder.

    Args:
        images_folder: Path or URL. Contains images at any depth. If the list file `<images_folder>_images_paths.txt`
            exists, it is read instead of listing the folder.
        artifacts: The artifacts folder.
        name: The data set's name; from the folder's path by default.
        strict: For training: reject an image with any invalid field, or with UTM and latitude/longitude more than 1 km
            apart. Otherwise, for databases and queries, only an image without a UTM position is rejected.
        listing: The images, if they have been listed already.
        on_percentage: Called with the percentage done.
        executor: Builds the partitions; that of the source by default (for names, threads of this process).
        source: Source of positions, headings and times; file names in SF-XL's form by default.

    Raises:
        UserError: The images cannot be listed, none is usable, or the disk is too small for the tables.
    """
    name = name or data_set_name(images_folder, artifacts)
    listing = listing or list_images(images_folder, artifacts)
    recipe = manifest_recipe(name, listing, strict, source)
    summary: dict[str, Any] = {"origin": str(listing.origin), **source.summary}
    if published := find_published(artifacts, recipe, adopt=summary):
        return published
    shared = artifacts.absolute()  # jobs may go to machines that work in other folders
    before, dead = find_artifacts(shared, recipe.stage), dead_staging(shared)
    may_be_there = bool(dead) or any(path.parent.name == name for path in before)
    check_space(artifacts, room_for_manifest(*listing.estimate()), f"manifest of {name}", at_most=may_be_there)
    with publishing(shared, recipe, summary) as staging:
        scratch = staging / "scratch"
        scratch.mkdir()
        with working(f"opening the source of {name}"):
            more_paths, reader = source.open(listing, scratch)
        shuffle = Shuffle(listing, scratch, source.rows_per_partition or ROWS_PER_PARTITION, more_paths)
        new = ManifestBuild(staging, strict, (*before, *dead), reader)
        built = _link_all(shuffle, new) if reader.by_paths_alone else {}
        rest = shuffle.paths([leaves for leaves in shuffle.partitions if leaves not in built])
        chosen = source.executor(len(rest)) if executor is None else contextlib.nullcontext(executor)
        total = len(shuffle.partitions)
        with Progress(f"manifest of {name}", total, "partitions", on_percentage) as progress, chosen as where:
            progress.advance(len(built))
            parts = run_all(partial(build_partition, new), rest, progress, where)
            built |= zip((images.leaves for images in rest), parts, strict=True)
            _read_again(shuffle, built, new, where)
        if not source.inputs(listing).items() <= recipe.inputs.items():
            raise UserError(f"{listing.origin}: the source has changed while it was being read. Run again.")
        summary |= summarise([built[leaves] for leaves in shuffle.partitions]) | listing.skipped.counts
        shutil.rmtree(scratch)
        _check_any_usable(listing, summary, staging, source)
        _log_summary(name, summary)
        if listing.skipped:
            logger.info("%s: skipped %s", name, listing.skipped)
    return recipe.folder(artifacts)


def _link_all(shuffle: Shuffle, new: ManifestBuild) -> dict[LeafRange, Built]:
    """Link the partitions that an earlier artifact has, if their rows depend only on the paths."""
    built = {}
    with Progress("looking for earlier partitions", len(shuffle.partitions), "partitions") as progress:
        for leaves in shuffle.partitions if new.earlier else ():
            if linked := link_partition(leaves, new):
                built[leaves] = linked
            progress.advance()
    return built


def _read_again(shuffle: Shuffle, built: dict[LeafRange, Built], new: ManifestBuild, where: Executor | None) -> None:
    """Rebuild the partitions that misread headings of -1.

    -1 is a heading if the data set has other negative headings, else "unknown"; that is known only at the end.
    """
    negative, wrong = read_otherwise({leaves: part.counts for leaves, part in built.items()})
    if not wrong:
        return
    for leaves in wrong:
        for table in ("manifest", "rejects"):
            (new.folder / table / built[leaves].name).unlink()
    build = partial(build_partition, new, negative_headings=negative)
    with Progress("rereading headings of -1", len(wrong), "partitions") as progress:
        built |= zip(wrong, run_all(build, shuffle.paths(wrong), progress, where), strict=True)


def summarise(parts: Sequence[Built]) -> dict[str, Any]:
    """Return the sum of the counts of all partitions."""
    years = {"first_year": min, "last_year": max}
    total: dict[str, Any] = dict.fromkeys(("files", "repeats", "usable", "rejects"), 0)
    for key in parts[0].counts if parts else ():
        values = [value for part in parts if (value := part.counts[key]) is not None]
        total[key] = years[key](values, default=None) if key in years else sum(values)
    total["files"] = total["usable"] + total["rejects"]
    total["partitions"] = len(parts)
    total["partitions_from_before"] = sum(part.is_linked for part in parts)
    total["made"] = f"{total['usable']:,} usable images, {total['rejects']:,} rejects"
    return nest_counts(total)


def _check_any_usable(listing: Listing, summary: dict[str, Any], staging: Path, source: Source) -> None:
    if not summary["files"]:
        raise UserError(f"{listing.origin}: no image in it (looked for {', '.join(IMAGE_SUFFIXES)})")
    if summary["usable"]:
        return
    first = read_table(staging, "rejects").row(0, named=True)
    example = f"{first['path']}: {first['reason']}, {first['detail']}"
    raise UserError(
        f"{listing.origin}: none of the {summary['files']:,} files is a usable image, as in {example}. "
        f"{source.expected}"
    )


def _log_summary(name: str, summary: dict[str, Any]) -> None:
    logger.info("%s: %s files, %s usable images", name, f"{summary['files']:,}", f"{summary['usable']:,}")
    if summary["partitions_from_before"]:
        text = "%s: %d of %d partitions reused"
        logger.info(text, name, summary["partitions_from_before"], summary["partitions"])
    for kind, note in NOTES.items():
        counts = summary[kind] if isinstance(summary[kind], dict) else {"": summary[kind]}
        level = logging.WARNING if kind == "UTM kept" else logging.INFO
        for what, count in counts.items():
            if count:
                logger.log(level, "%s: %s %s%s", name, f"{count:,}", note, what)
