"""Verify the images of a manifest: write the checks table, which says for each image whether it is bad, and why.

A check holds as long as the file keeps its size and modification time, so that only new and changed files are read.
"""

import logging
import shutil
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.images.file_states import ImageStates, stat_manifest
from data_manifest.images.heif import can_read_heif
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.progress import Percentage, Progress, working
from data_manifest.store.files import format_bytes
from data_manifest.store.find import find_recipes
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, digest_of, read_recipe
from data_manifest.tables import scan_table
from pipeline.listing.folder_scan import IMAGE_SUFFIXES
from pipeline.verification.bad_image import Status
from pipeline.verification.check_partition import MAX_EXAMPLES, Checking, Verification
from pipeline.verification.checksum_lists import CHECKSUMS, digest_of_checksums, read_checksums
from pipeline.verification.settings import DECODE, NOT_LISTED, VerifySettings

VERSION = 2  # raise when the same file may get another verdict or detail
STAGE = "checks"
CACHE = ".checks"  # in the artifacts folder: checks of runs that have not ended
logger = logging.getLogger(__name__)


def checks_recipe(
    manifest: dict[str, Any], images_folder: ImagesFolder, files: ImageStates, check: str, settings: VerifySettings
) -> Recipe:
    """Return the recipe of the checks, given the manifest's recipe and the states of its image files.

    Raises:
        UserError: The list of checksums cannot be read.
    """
    decisive = {"check": check, "expected_size": settings.expected_size, "max_pixels": settings.max_pixels}
    if settings.checksum is not None:
        with working(f"reading {settings.checksum}"):
            decisive["checksum"] = digest_of_checksums(settings.checksum, images_folder)
    if any(part.heif for part in files.partitions) and not can_read_heif():
        decisive["heif"] = False
    inputs = {"manifest": manifest["digest"], "files": files.digest}
    return Recipe(STAGE, manifest["name"], VERSION, decisive, inputs)


def verify_images(
    manifest: Path,
    images_folder: ImagesFolder,
    artifacts: Path,
    check: str = DECODE,
    settings: VerifySettings | None = None,
    files: ImageStates | None = None,
    on_percentage: Percentage = None,
    executor: Executor | None = None,
) -> Path:
    """Check the images of a manifest, and return the folder of the artifact with the checks table.

    A published artifact of the same recipe is returned as it is.

    Args:
        check: "header" reads the first and the last block of each file (objects of a bucket: everything), "decode"
            decodes everything.
        files: The file states of the images, if already known.
        executor: Checks the images; threads of this process by default.

    Raises:
        UserError: There are no images, they change during the run or cannot be read, or the list of checksums cannot.
    """
    settings = settings or VerifySettings()
    files = files or stat_manifest(manifest, images_folder)
    recipe = checks_recipe(read_recipe(manifest), images_folder, files, check, settings)
    if published := find_published(artifacts, recipe, adopt={}):
        return published
    shared, summary = artifacts.absolute(), dict[str, Any]()
    version = digest_of([VERSION, recipe.settings])
    cache = shared / CACHE / f"{recipe.name}-{version}"
    with publishing(shared, recipe, summary) as staging:
        (staging / STAGE).mkdir()
        cache.mkdir(parents=True, exist_ok=True)
        is_listed = settings.checksum is not None
        checksums = read_checksums(settings.checksum, images_folder) if is_listed else pl.DataFrame(schema=CHECKSUMS)
        same = (recipe.version, dict(recipe.settings))
        earlier = [
            path
            for path, old in find_recipes(shared, recipe.stage, recipe.name)
            if (old["version"], old["settings"]) == same
        ]
        checking = Checking(images_folder.absolute(), check, settings, cache)
        run = Verification(checking, checksums, version, staging / STAGE, [path / STAGE for path in earlier])
        num_images = sum(part.images for part in files.partitions)
        with Progress(f"verifying {recipe.name}", num_images, "images", on_percentage) as progress:
            run.check_images(manifest, files, progress, executor)
        checks = scan_table(staging, STAGE)
        with working("counting the checks"):
            summary |= summarise(checks) | _find_missing(checksums, manifest)
        _log_summary(recipe.name, summary, checks)
    shutil.rmtree(cache, ignore_errors=True)
    return recipe.folder(artifacts)


def summarise(checks: pl.LazyFrame) -> dict[str, Any]:
    """Return the numbers of images, of their bytes, and of bad images by status."""
    counts = checks.group_by(pl.col("status").cast(pl.String)).agg(
        images=pl.len(), bytes=pl.col("bytes").sum(), not_listed=pl.col("detail").str.ends_with(NOT_LISTED).sum()
    )
    rows = counts.sort("images", "status", descending=[True, False]).collect(engine="streaming")
    images, bad = int(rows["images"].sum()), rows.filter(pl.col("status") != Status.OK.value)
    return {
        "images": images,
        "bytes": int(rows["bytes"].sum()),
        "bad": dict(bad.select("status", "images").iter_rows()),
        "not_listed": int(rows["not_listed"].sum()),
        "made": f"{images:,} images verified, {bad['images'].sum():,} bad",
    }


def _log_summary(name: str, summary: dict[str, Any], checks: pl.LazyFrame) -> None:
    logger.info("%s: %s, %s", name, summary["made"], format_bytes(summary["bytes"]))
    for status, count in summary["bad"].items():
        of_status = checks.filter(pl.col("status").cast(pl.String) == status).select("path", "detail")
        rows = of_status.head(MAX_EXAMPLES).collect().iter_rows()
        examples = [f"{path} ({detail})" if detail else path for path, detail in rows]
        logger.info("%s: %s %s, such as %s", name, f"{count:,}", status, ", ".join(examples))
    if summary["not_listed"]:
        logger.info("%s: %s images are not in the list of checksums", name, f"{summary['not_listed']:,}")
    if missing := summary.get("missing"):
        text = "%s: %s images in the list of checksums are missing, such as %s"
        logger.warning(text, name, f"{missing:,}", ", ".join(summary["missing_examples"]))


def _find_missing(checksums: pl.DataFrame, manifest: Path) -> dict[str, Any]:
    """Return the number and examples of images with a checksum that are neither in the manifest nor in the rejects."""
    if checksums.is_empty():
        return {}
    suffix = pl.col("path").str.to_lowercase().str.extract(r"(\.[a-z]+)$")
    missing = checksums.lazy().filter(suffix.is_in(IMAGE_SUFFIXES))
    for table in ("manifest", "rejects"):
        missing = missing.join(scan_table(manifest, table).select("path"), on="path", how="anti")
    paths = missing.select("path").sort("path").collect(engine="streaming")["path"]
    return {"missing": len(paths), "missing_examples": paths.head(MAX_EXAMPLES).to_list()}
