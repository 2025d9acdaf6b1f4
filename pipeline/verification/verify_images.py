"""Verify the images of a manifest: the checks table says of each whether it is whole, and what is wrong if it is not.

A check holds as long as the file keeps its size and modification time. So a verification that is run again looks at
files that are new or changed, and one that was killed goes on where it was.
"""

import logging
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.errors import UserError
from data_manifest.images.file_states import ImageStates, stat_manifest
from data_manifest.images.heif import can_read_heif
from data_manifest.progress import Percentage, Progress, working
from data_manifest.store.files import format_bytes
from data_manifest.store.find import find_recipes
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, digest_of, read_recipe
from data_manifest.tables import scan_table, table_files
from pipeline.execution.executor import run_all
from pipeline.listing.folder_scan import IMAGE_SUFFIXES
from pipeline.verification.check_partition import (
    NOT_LISTED,
    OK,
    Checking,
    Partition,
    Piece,
    Todo,
    check_piece,
    find_todo,
    finish_partition,
    stop_if_refused,
)
from pipeline.verification.checksum_lists import digest_of_checksums, read_checksums
from pipeline.verification.drop_bad_images import BAD
from pipeline.verification.settings import DECODE, VerifySettings

VERSION = 1
STAGE = "checks"
KEPT = ".checks"  # in the artifacts folder: checks of runs that have not ended; a cache, as `.listings` is
EXAMPLES = 3
REFUSED_AT_MOST = 1_000  # files that the machine does not give: with more of them, something is wrong with all
logger = logging.getLogger(__name__)


def checks_recipe(
    manifest: dict[str, Any], images_folder: Path, files: ImageStates, check: str, settings: VerifySettings
) -> Recipe:
    """Return what makes checks: a manifest, given by its recipe, how its files are, and what is looked at.

    Raises:
        UserError: The list of checksums cannot be read.
    """
    decisive = {"check": check, "expected_size": settings.expected_size, "max_pixels": settings.max_pixels}
    if settings.checksum is not None:
        with working(f"reading {settings.checksum}"):
            decisive["checksum"] = digest_of_checksums(settings.checksum, images_folder)
    if any(part.heif for part in files.partitions) and not can_read_heif():
        decisive["heif"] = False  # with the extra, HEIC is checked
    inputs = {"manifest": manifest["digest"], "files": files.digest}
    return Recipe(STAGE, manifest["name"], VERSION, decisive, inputs)


def verify_images(
    manifest: Path,
    images_folder: Path,
    artifacts: Path,
    check: str = DECODE,
    settings: VerifySettings | None = None,
    files: ImageStates | None = None,
    on_percentage: Percentage = None,
    executor: Executor | None = None,
) -> Path:
    """Check the images of a manifest, and return the folder of the artifact with the checks table.

    What is published already is not made again.

    Args:
        manifest: Folder of a published manifest.
        images_folder: Where its images lie.
        artifacts: Where artifacts are published.
        check: "header" reads the first and the last block of each file, "decode" decodes everything.
        settings: What makes an image a bad one, beside damage.
        files: The file states of the images, if they are known already.
        on_percentage: Told of the progress.
        executor: Checks the images; threads of this process by default.

    Raises:
        UserError: There are no images, they change meanwhile, or the list of checksums cannot be read.
    """
    settings = settings or VerifySettings()
    files = files or stat_manifest(manifest, images_folder)
    made_from = read_recipe(manifest)
    recipe = checks_recipe(made_from, images_folder, files, check, settings)
    if published := find_published(artifacts, recipe, adopt={}):
        return published
    shared, summary = artifacts.absolute(), dict[str, Any]()
    version = digest_of([VERSION, recipe.settings])
    kept = shared / KEPT / f"{recipe.name}-{version}"
    earlier = tuple(path for path, stored in find_recipes(shared, recipe) if _is_alike(stored, recipe))
    with publishing(shared, recipe, summary) as staging:
        (staging / "scratch").mkdir()
        kept.mkdir(parents=True, exist_ok=True)
        listed = _put_aside_checksums(settings, images_folder, staging / "scratch")
        checking = Checking(images_folder.absolute(), check, settings, listed, kept, version)
        partitions = [
            Partition(file, checking, staging, earlier) for file in table_files(manifest.absolute(), "manifest")
        ]
        _check_partitions(partitions, files, recipe.name, on_percentage, executor)
        checks = scan_table(staging, STAGE)
        with working("counting the checks"):
            summary |= summarise(checks) | _missing(listed, manifest)
        shutil.rmtree(staging / "scratch")
        _log_summary(recipe.name, summary, checks)
    shutil.rmtree(kept, ignore_errors=True)
    return recipe.folder(artifacts)


def _is_alike(stored: Mapping[str, Any], recipe: Recipe) -> bool:
    """Return whether the checks of an earlier artifact, given by its recipe, are of the same kind."""
    return bool((stored["version"], stored["settings"]) == (recipe.version, dict(recipe.settings)))


def _check_partitions(
    partitions: list[Partition], files: ImageStates, name: str, on_percentage: Percentage, executor: Executor | None
) -> None:
    """Check the images whose checks are not known, a piece at a time, and write the tables."""
    with Progress(f"what to verify of {name}", len(partitions), "partitions") as progress:
        todos = list(run_all(find_todo, partitions, progress, executor))
    if tuple(todo.seen for todo in todos) != files.partitions:
        raise UserError(f"{partitions[0].checking.images_folder}: images have changed meanwhile: run again")
    jobs = list(zip(partitions, todos, strict=True))
    total = sum(length for todo in todos for _, length in todo.pieces)
    size = format_bytes(sum(todo.num_bytes for todo in todos))
    logger.info("%s: %s images to check, %s, of %s", name, f"{total:,}", size, f"{sum(t.seen.images for t in todos):,}")
    with Progress(f"verifying {name}", total, "images", on_percentage) as progress:
        _check_pieces(jobs, progress, executor)
    with Progress(f"writing the checks of {name}", len(jobs), "partitions") as progress:
        list(run_all(finish_partition, [job for job in jobs if not job[1].was_there], progress, executor))


def _check_pieces(jobs: list[tuple[Partition, Todo]], progress: Progress, executor: Executor | None) -> None:
    pieces = (Piece(partition, begin, length) for partition, todo in jobs for begin, length in todo.pieces)
    begun, bytes_read, refused = time.monotonic(), 0, list[str]()
    for done in run_all(check_piece, pieces, None, executor):
        bytes_read += done.bytes_read
        refused += done.refused
        if len(refused) > REFUSED_AT_MOST:
            break
        rate = format_bytes(bytes_read / max(time.monotonic() - begun, 1e-9))
        progress.advance(done.images, read=f"{rate}/s")
    stop_if_refused(jobs[0][0].checking.images_folder, refused)


def _put_aside_checksums(settings: VerifySettings, images_folder: Path, scratch: Path) -> Path | None:
    if settings.checksum is None:
        return None
    file = scratch / "checksums.arrow"
    with working(f"reading {settings.checksum}"):
        read_checksums(settings.checksum, images_folder).write_ipc(file)
    return file


def summarise(checks: pl.LazyFrame) -> dict[str, Any]:
    """Return how many images of a checks table there are, how many bytes they have, and how many are bad, and why."""
    counts = checks.group_by(pl.col("status").cast(pl.String)).agg(
        images=pl.len(), bytes=pl.col("bytes").sum(), not_listed=pl.col("detail").str.ends_with(NOT_LISTED).sum()
    )
    rows = counts.sort("images", "status", descending=[True, False]).collect(engine="streaming")
    images, bad = int(rows["images"].sum()), rows.filter(pl.col("status") != OK)
    summary: dict[str, Any] = {"images": images, "bytes": int(rows["bytes"].sum()), "bad": int(bad["images"].sum())}
    summary |= {f"{BAD}{status}": count for status, count in bad.select("status", "images").iter_rows()}
    summary["not_listed"] = int(rows["not_listed"].sum())
    summary["made"] = f"{images:,} images verified, {summary['bad'] or 'none'} of them bad"
    return summary


def _log_summary(name: str, summary: dict[str, Any], checks: pl.LazyFrame) -> None:
    logger.info("%s: %s, %s", name, summary["made"], format_bytes(summary["bytes"]))
    for key, count in summary.items():
        if key.startswith(BAD):
            status = key.removeprefix(BAD)
            first = checks.filter(pl.col("status").cast(pl.String) == status).select("path", "detail").head(EXAMPLES)
            examples = [f"{path} ({detail})" if detail else path for path, detail in first.collect().iter_rows()]
            logger.info("%s: %s %s, as %s", name, f"{count:,}", status, ", ".join(examples))
    if summary["not_listed"]:
        logger.info("%s: %s images are not in the list of checksums", name, f"{summary['not_listed']:,}")
    if missing := summary.get("missing"):
        text = "%s: %s files of the list of checksums are not among the images, as %s"
        logger.warning(text, name, f"{missing:,}", ", ".join(summary["missing_examples"]))


def _missing(checksums: Path | None, manifest: Path) -> dict[str, Any]:
    """Return how many images are listed with a checksum and neither usable nor rejected: they are not there."""
    if checksums is None:
        return {}
    suffix = pl.col("path").str.to_lowercase().str.extract(r"(\.[a-z]+)$")
    missing = pl.scan_ipc(checksums).filter(suffix.is_in(IMAGE_SUFFIXES))
    for table in ("manifest", "rejects"):
        missing = missing.join(scan_table(manifest, table).select("path"), on="path", how="anti")
    paths = missing.select("path").sort("path").collect(engine="streaming")["path"]
    return {"missing": len(paths), "missing_examples": paths.head(EXAMPLES).to_list()}
