"""Build the manifest: what each image's name says, in Parquet, and a reject with its reason for each unusable one."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest import schemas
from data_manifest.artefacts import Recipe, publishing
from data_manifest.errors import UserError
from data_manifest.progress import Progress
from data_manifest.tables import read_table, write_table
from pipeline.dataset import data_set_name
from pipeline.listing import Listing, list_images
from pipeline.names import Reason, parse_names
from pipeline.partitions import partitions
from pipeline.positions import FAR_APART_M, NOTICEABLY_APART_M, compare_positions, complete_positions

VERSION = 1
logger = logging.getLogger(__name__)


def manifest_recipe(name: str, listing: Listing, strict: bool) -> Recipe:
    """Return what makes a manifest: the paths, and whether doubtful positions are rejected."""
    return Recipe("manifest", name, VERSION, {"strict": strict}, {"images": listing.fingerprint})


def build_manifest(
    images_folder: Path,
    artifacts: Path,
    name: str | None = None,
    strict: bool = True,
    listing: Listing | None = None,
    on_percentage: Callable[[int], None] | None = None,
) -> Path:
    """Write the manifest and the rejects of a folder of images, and return the folder of the artefact.

    Args:
        images_folder: Holds images in SF-XL's naming, at any depth; `<images_folder>_images_paths.txt` is taken instead
            of listing it if it is there. No image is opened.
        artifacts: Where artefacts are published.
        name: The data set's name among the artefacts; made from the folder's path by default.
        strict: For training: an image is rejected for any field that cannot be, and if UTM and latitude/longitude
            are more than 1 km apart. A database or query image is dropped for a missing UTM position alone.
        listing: The images, if they have been listed already.
        on_percentage: Told of the progress.

    Raises:
        UserError: The images cannot be listed, or none of them is usable.
    """
    name = name or data_set_name(images_folder)
    listing = listing or list_images(images_folder)
    recipe = manifest_recipe(name, listing, strict)
    summary: dict[str, Any] = {"origin": str(listing.origin), "files": len(listing.paths), "repeats": listing.repeats}
    with (
        publishing(artifacts, recipe, summary) as staging,
        Progress(f"manifest of {name}", len(listing.paths), "images", on_percentage) as progress,
    ):
        parts = []
        for key, paths in partitions(decode_paths(listing.paths)):
            images = read_names(paths, strict)
            _write_partition(staging, key, images)
            parts.append(_counts(images))
            progress.advance(len(images))
        summary |= summarise(parts)
        summary["made"] = f"{summary['usable']:,} usable images, {summary['rejects']:,} rejects"
        _check_any_usable(listing, summary, staging)
        _log_summary(name, summary)
    return recipe.folder(artifacts)


def decode_paths(paths: pl.Series) -> pl.DataFrame:
    """Return paths given as bytes as text in `path`, and in `is_utf8` whether they were.

    Bytes that are no UTF-8 are percent-escaped, as are the percent signs beside them.
    """
    try:
        return pl.DataFrame({"path": paths.cast(pl.String)}).with_columns(is_utf8=pl.lit(True))
    except pl.exceptions.ComputeError:
        texts = [path.decode("utf-8", "surrogateescape") for path in paths]
    is_utf8 = [not re.search("[\udc80-\udcff]", text) for text in texts]
    escaped = [text if fine else _percent_escaped(text) for text, fine in zip(texts, is_utf8, strict=True)]
    return pl.DataFrame({"path": escaped, "is_utf8": is_utf8}, schema={"path": pl.String, "is_utf8": pl.Boolean})


def _percent_escaped(text: str) -> str:
    return re.sub("[%\udc80-\udcff]", lambda match: f"%{ord(match[0]) & 0xFF:02X}", text)


def read_names(paths: pl.DataFrame, strict: bool) -> pl.DataFrame:
    """Return the manifest's columns for paths with `is_utf8`, with `reject` and `apart_m`, sorted by path."""
    images = compare_positions(complete_positions(parse_names(paths, strict)), strict)
    not_utf8 = pl.struct(reason=pl.lit(Reason.NOT_UTF8.value), detail=pl.lit("the path is shown percent-escaped"))
    return images.with_columns(reject=pl.when("is_utf8").then("reject").otherwise(not_utf8)).sort("path")


def _write_partition(staging: Path, key: str, images: pl.DataFrame) -> None:
    """Write both tables of a partition; a table without rows is a file as well, so that each table is there."""
    usable = images.filter(pl.col("reject").is_null()).select(schemas.MANIFEST.names)
    rejected = images.filter(pl.col("reject").is_not_null()).select("path", pl.col("reject").struct.unnest())
    write_table(usable, staging / "manifest" / f"part-{key}.parquet", schemas.MANIFEST)
    write_table(rejected, staging / "rejects" / f"part-{key}.parquet", schemas.REJECTS)


def _counts(images: pl.DataFrame) -> pl.DataFrame:
    """Return one row of counts of a partition; the columns `first_` and `last_` are not added up."""
    usable = pl.col("reject").is_null()
    reason = pl.col("reject").struct.field("reason")
    return images.select(
        usable=usable.sum(),
        rejects=(~usable).sum(),
        **{f"rejects: {each.value}": (reason == each.value).sum() for each in Reason},
        without_heading=(usable & pl.col("heading").is_null()).sum(),
        apart_over_1_m=(usable & (pl.col("apart_m") > NOTICEABLY_APART_M)).sum(),
        apart_over_1_km=(usable & (pl.col("apart_m") > FAR_APART_M)).sum(),
        first_year=pl.col("year").filter(usable).min(),
        last_year=pl.col("year").filter(usable).max(),
    )


def summarise(parts: list[pl.DataFrame]) -> dict[str, Any]:
    """Return the counts of all partitions together."""
    total = pl.concat(parts).select(
        pl.exclude("first_year", "last_year").sum(), pl.col("first_year").min(), pl.col("last_year").max()
    )
    return total.row(0, named=True)


def _check_any_usable(listing: Listing, summary: dict[str, Any], staging: Path) -> None:
    if summary["usable"]:
        return
    first = read_table(staging, "rejects").row(0, named=True)
    example = f"{first['path']}: {first['reason']}, {first['detail']}"
    raise UserError(
        f"{listing.origin}: none of the {summary['files']:,} files is a usable image, as in {example}. "
        "Names are expected as @UTM_east@UTM_north@zone@band@latitude@longitude@pano_id@tile@heading@...@.jpg"
    )


def _log_summary(name: str, summary: dict[str, Any]) -> None:
    logger.info("%s: %s files, %s usable images", name, f"{summary['files']:,}", f"{summary['usable']:,}")
    for key, count in summary.items():
        if key.startswith("rejects: ") and count:
            logger.info("%s: %s rejected: %s", name, f"{count:,}", key.removeprefix("rejects: "))
    notes = {
        "repeats": "listed more than once, taken once",
        "without_heading": "without a heading",
        "apart_over_1_m": "with UTM and latitude/longitude more than 1 m apart",
        "apart_over_1_km": "with them more than 1 km apart, kept",
    }
    for key, meaning in notes.items():
        if summary[key]:
            logger.info("%s: %s %s", name, f"{summary[key]:,}", meaning)
