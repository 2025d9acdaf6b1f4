"""Cut a folder of panoramas into a folder of crops, named as in SF-XL.

A crop has the modification time of its panorama. A panorama is done when all its crops exist with that time, so an
interrupted run resumes, and a later run cuts only new and changed panoramas.
"""

import json
import logging
import uuid
from collections.abc import Mapping
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.errors import UserError, writing_in
from data_manifest.images.data_set_names import data_set_name
from data_manifest.images.file_states import stat_images
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.progress import Percentage, Progress, working
from data_manifest.schemas import CROPPED
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, digest_of
from data_manifest.store.staging import remove_dead_staging, staging_folder
from data_manifest.tables import write_table
from pipeline.execution.executor import run_all
from pipeline.listing.list_images import Listing, list_images
from pipeline.metadata.paths import all_paths
from pipeline.panoramas.crop_names import read_panoramas
from pipeline.panoramas.cut_batch import Cropped, Folders, cut_batch
from pipeline.panoramas.settings import CropSettings
from pipeline.sources.source import NAMES_SOURCE, Source
from pipeline.verification.bad_image import Status

VERSION = 2  # raise it when crops get other pixels or names
STAGE = "crops"
KIND_FILE = ".crops.json"  # how the crops in a folder were cut; two kinds must not mix
OUTPUT_OPTION = "--output-folder"
PANORAMAS_AT_A_TIME = 16
OK, NO_NAME, NO_HEADING, SAME_CROPS = Status.OK.value, "no name", "no heading", "same crops"
FOLDER, STEM = pl.col("path").str.extract("^(.*/)"), pl.col("name").str.replace(r"\.\w+$", "")
DOUBT = pl.col("note").str.extract(r"(GPano heading 0, GPSImgDirection .*)").alias("doubt")  # the heading is used
ROWS = pl.Schema({**pl.Schema(CROPPED), "status": pl.String(), "cut_now": pl.Boolean()})
logger = logging.getLogger(__name__)


def crops_recipe(
    folders: tuple[ImagesFolder, Path], artifacts: Path, listing: Listing, settings: CropSettings, source: Source
) -> Recipe:
    """Return the recipe of crops, given the folders of panoramas and crops: file states and how they are cut."""
    panoramas_folder, output_folder = folders
    paths = all_paths(listing).decode()["path"]
    with Progress("checking the times of panoramas", len(paths), "panoramas") as progress:
        states = stat_images(paths, panoramas_folder, progress, settle=False)
    decisive = {**settings.as_dict(), **source.settings, "output_folder": str(output_folder.resolve())}
    inputs = {"panoramas": digest_of(states.rows()), **source.inputs(listing)}
    return Recipe(STAGE, data_set_name(panoramas_folder, artifacts), VERSION, decisive, inputs)


def crop_panoramas(
    panoramas_folder: ImagesFolder,
    output_folder: Path,
    artifacts: Path,
    settings: CropSettings | None = None,
    listing: Listing | None = None,
    recipe: Recipe | None = None,
    source: Source = NAMES_SOURCE,
    on_percentage: Percentage = None,
    executor: Executor | None = None,
) -> Path:
    """Cut panoramas into crops, and return the artifact with one row per panorama.

    Args:
        settings: How to cut; by default as in SF-XL.
        listing: The panoramas, if they are already listed.
        recipe: The recipe of the crops, if it is already known.
        source: Source of the positions and of the headings of the centre columns.
        executor: Runs the cutting; by default threads of this process.

    Raises:
        UserError: No panorama can be cut, the output folder has crops of another kind, or an I/O error.
    """
    settings, listing = settings or CropSettings(), listing or list_images(panoramas_folder, artifacts)
    recipe = recipe or crops_recipe((panoramas_folder, output_folder), artifacts, listing, settings, source)
    if output_folder.is_dir() and (published := find_published(artifacts, recipe)):
        return published
    with writing_in(output_folder, OUTPUT_OPTION):
        output_folder.mkdir(parents=True, exist_ok=True)
        _check_same_kind(output_folder, {**settings.as_dict(), **source.settings})
    with working("reading where the panoramas were taken"):
        panoramas = read_panoramas(listing, source)
    cuttable = panoramas.filter(pl.col("reject").is_null(), pl.col("heading").is_not_null())
    is_last = pl.struct(FOLDER.alias("folder"), STEM, "heading").is_last_distinct()  # takes a.jpg of a.heic and a.jpg
    cuttable, repeated = cuttable.filter(is_last), cuttable.filter(~is_last)
    cropped: list[Cropped] = []
    remove_dead_staging(output_folder)
    with (
        writing_in(output_folder, OUTPUT_OPTION),
        staging_folder(output_folder.absolute()) as unfinished,
        Progress("cutting", len(cuttable), "panoramas", on_percentage) as progress,
    ):
        folders = Folders(panoramas_folder.absolute(), output_folder.absolute(), unfinished)
        batches = cuttable.select("path", "heading", "name", DOUBT).iter_slices(PANORAMAS_AT_A_TIME)
        for done in run_all(partial(cut_batch, folders, settings), batches, None, executor):
            cropped += done
            progress.advance(len(done))
    same = repeated.select("path", status=pl.lit(SAME_CROPS), detail=pl.lit("another panorama gives the same names"))
    tables = pl.DataFrame(cropped, schema=ROWS, orient="row"), _unusable(panoramas, source), same
    rows = pl.concat(tables, how="diagonal").with_columns(pl.col("crops").fill_null(0))
    _log_problems(rows)
    if not (summary := _summarise(rows))["cut"]:
        why = ", ".join(filter(None, rows.row(0)[3:5]))
        raise UserError(f"{panoramas_folder}: none of {len(rows):,} panoramas can be cut. {rows['path'][0]}: {why}.")
    with publishing(artifacts, recipe, summary) as staging:
        write_table(rows.drop("cut_now").sort("path"), staging / "cropped" / "cropped.parquet", CROPPED)
    return recipe.folder(artifacts)


def _check_same_kind(output_folder: Path, settings: Mapping[str, Any]) -> None:
    file, kind = output_folder / KIND_FILE, {"version": VERSION, **settings}
    if file.is_file() and json.loads(file.read_text()) != kind:
        raise UserError(
            f"output_folder = {output_folder}: it has crops that were cut with other settings (see {file}). Choose "
            "another folder, or remove it."
        )
    unfinished = file.with_name(f"{KIND_FILE}.{uuid.uuid4().hex}")
    unfinished.write_text(json.dumps(kind, indent=2) + "\n")
    unfinished.replace(file)


def _unusable(panoramas: pl.DataFrame, source: Source) -> pl.DataFrame:
    """Return rows for the panoramas without a position or heading."""
    unusable = panoramas.filter(pl.col("reject").is_not_null() | pl.col("heading").is_null())
    status, detail = (pl.col("reject").struct.field(name) for name in ("reason", "detail"))
    if source is NAMES_SOURCE:
        detail = pl.when(status.is_not_null()).then(pl.format("{}: {}", status, detail))
        status = pl.when(status.is_not_null()).then(pl.lit(NO_NAME))
    return unusable.select("path", status=status.fill_null(NO_HEADING), detail=detail)


def _summarise(rows: pl.DataFrame) -> dict[str, Any]:
    counts = dict(rows["status"].value_counts(sort=True).iter_rows())
    done, crops, cut_now = counts.pop(OK, 0), rows["crops"].sum(), rows["cut_now"].sum()
    summary = {"panoramas": len(rows), "cut": done, "crops": crops, "cut_now": cut_now}
    made = f"{crops:,} crops of {done:,} panoramas, {cut_now:,} of them cut now"
    return {**summary, "not cut": counts, "made": made}


def _log_problems(rows: pl.DataFrame) -> None:
    for path, status, detail in rows.filter(pl.col("status") != OK).head(3).select("path", "status", "detail").rows():
        logger.warning("not cut: %s: %s%s", path, status, f", {detail}" if detail else "")
    doubtful = rows.filter(pl.col("status") == OK, pl.col("detail").is_not_null())
    if len(doubtful):
        first = doubtful.row(0, named=True)
        logger.warning("doubtful headings: %s, such as %s: %s", f"{len(doubtful):,}", first["path"], first["detail"])
