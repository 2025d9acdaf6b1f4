"""Cut a folder of panoramas into a folder of crops, named as SF-XL names them.

A crop carries the modification time of its panorama: so a panorama is done when its crops are there with that time. A
run that was killed goes on, and one that is run again cuts what is new or changed. A file beside the crops says how
they were cut, for crops of two kinds must not be mixed.
"""

import json
import logging
import os
import uuid
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.errors import UserError, writing_in
from data_manifest.images.file_states import stat_file
from data_manifest.progress import Percentage, Progress, working
from data_manifest.schemas import CROPPED
from data_manifest.store.data_set_names import data_set_name
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, digest_of
from data_manifest.store.staging import remove_dead_staging, staging_folder
from data_manifest.tables import write_table
from pipeline.execution.executor import run_all
from pipeline.listing.list_images import Listing, list_images
from pipeline.panoramas.crop_names import crop_path, paths_of, read_panoramas
from pipeline.panoramas.settings import CropSettings
from pipeline.sources.names_source import NAMES_SOURCE
from pipeline.sources.source import Source
from pipeline.verification.image_parts import BadImageError, Status

VERSION = 2
STAGE = "crops"
CUT_AS = ".crops.json"
OUTPUT = "--output-folder"
PANORAMAS_AT_A_TIME = 16
OK, NO_NAME, NO_HEADING, SAME_CROPS = Status.OK.value, "no name", "no heading", "same crops"
FOLDER, STEM = pl.col("path").str.extract("^(.*/)"), pl.col("name").str.replace(r"\.\w+$", "")
# What `read_photo` notes on a heading that may be wrong. The heading is used, and the note goes into `detail`.
DOUBT = pl.col("note").str.extract(r"(GPano heading 0, GPSImgDirection .*)").alias("doubt")
ROW = pl.Schema({**pl.Schema(CROPPED), "status": pl.String()})
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """Some panoramas to cut: path, heading, name and doubt of each; crops are written in `unfinished` first."""

    panoramas_folder: Path
    output_folder: Path
    unfinished: Path
    settings: CropSettings
    panoramas: tuple[tuple[str, float, str, str | None], ...]


@dataclass(frozen=True)
class Outcome:
    """What came of a panorama: a row of the table, and whether its crops were there."""

    row: tuple[str, float | None, int, str, str | None]
    was_there: bool = False


def crops_recipe(
    panoramas_folder: Path,
    output_folder: Path,
    artifacts: Path,
    listing: Listing,
    settings: CropSettings,
    source: Source = NAMES_SOURCE,
) -> Recipe:
    """Return what makes crops: the panoramas as they lie on the disk, where the crops go, and how they are cut."""
    paths = paths_of(listing)["path"]
    with Progress("checking the times of panoramas", len(paths), "panoramas") as progress:
        states = []
        for path in paths:
            states.append((path, *stat_file(f"{panoramas_folder}/{path}")))
            progress.advance()
    decisive = {**settings.as_dict(), **source.settings, "output_folder": str(output_folder.resolve())}
    inputs = {"panoramas": digest_of(sorted(states)), **source.inputs(listing)}
    return Recipe(STAGE, data_set_name(panoramas_folder, artifacts), VERSION, decisive, inputs)


def crop_panoramas(
    panoramas_folder: Path,
    output_folder: Path,
    artifacts: Path,
    settings: CropSettings | None = None,
    listing: Listing | None = None,
    recipe: Recipe | None = None,
    source: Source = NAMES_SOURCE,
    on_percentage: Percentage = None,
    executor: Executor | None = None,
) -> Path:
    """Cut panoramas into crops, and return the folder of an artifact that says what came of each panorama.

    Args:
        panoramas_folder: Holds the panoramas.
        output_folder: Where the crops go.
        artifacts: Where artifacts are published.
        settings: How to cut; as SF-XL by default.
        listing: The panoramas, if they have been listed already.
        recipe: What makes the crops, if the panoramas have been looked at already.
        source: Where it is written where they were taken, and the heading of the centre column: by default in their
            names, as in SF-XL.
        on_percentage: Told of the progress.
        executor: Cuts; threads of this process by default.

    Raises:
        UserError: There are no panoramas, none can be cut, crops of another kind are there already, or the machine does
            not give a panorama or take a crop.
    """
    settings, listing = settings or CropSettings(), listing or list_images(panoramas_folder, artifacts)
    recipe = recipe or crops_recipe(panoramas_folder, output_folder, artifacts, listing, settings, source)
    if output_folder.is_dir() and (published := find_published(artifacts, recipe)):
        return published
    with writing_in(output_folder, OUTPUT):
        output_folder.mkdir(parents=True, exist_ok=True)
        _check_same_kind(output_folder, {**settings.as_dict(), **source.settings})
    with working("reading where the panoramas were taken"):
        names = read_panoramas(listing, source)
    cuttable = names.filter(pl.col("reject").is_null(), pl.col("heading").is_not_null())
    is_last = pl.struct(FOLDER.alias("folder"), STEM, "heading").is_last_distinct()  # a.jpg of a.heic and a.jpg
    cuttable, repeated = cuttable.filter(is_last), cuttable.filter(~is_last)["path"]
    outcomes = _without_use(names, source)
    outcomes += [Outcome((path, None, 0, SAME_CROPS, "another panorama gives the same names")) for path in repeated]
    remove_dead_staging(output_folder)
    with (
        writing_in(output_folder, OUTPUT),
        staging_folder(output_folder.absolute()) as unfinished,
        Progress("cutting", len(cuttable), "panoramas", on_percentage) as progress,
    ):
        pieces = (
            Piece(panoramas_folder.absolute(), output_folder.absolute(), unfinished, settings, tuple(part.iter_rows()))
            for part in cuttable.select("path", "heading", "name", DOUBT).iter_slices(PANORAMAS_AT_A_TIME)
        )
        for done in run_all(cut_piece, pieces, None, executor):
            outcomes += done
            progress.advance(len(done))
    summary = _summarise(outcomes, settings)
    _check_any_cut(summary, outcomes, panoramas_folder)
    with publishing(artifacts, recipe, summary) as staging:
        rows = pl.DataFrame([each.row for each in outcomes], schema=ROW, orient="row").sort("path")
        write_table(rows, staging / "cropped" / "cropped.parquet", CROPPED)
    return recipe.folder(artifacts)


def _check_same_kind(output_folder: Path, settings: Mapping[str, Any]) -> None:
    file, kind = output_folder / CUT_AS, {"version": VERSION, **settings}
    if file.is_file() and json.loads(file.read_text()) != kind:
        raise UserError(
            f"output_folder = {output_folder}: there are crops that were cut otherwise, as {file} says: "
            "choose another folder, or remove it"
        )
    unfinished = file.with_name(f"{CUT_AS}.{uuid.uuid4().hex}")
    unfinished.write_text(json.dumps(kind, indent=2) + "\n")
    unfinished.replace(file)


def _without_use(names: pl.DataFrame, source: Source) -> list[Outcome]:
    """Return what comes of the panoramas of which the source does not say what is needed."""
    rejected = names.filter(pl.col("reject").is_not_null()).with_columns(pl.col("reject").struct.unnest())
    unnamed = [
        (path, None, 0, *((NO_NAME, f"{reason}: {detail}") if source is NAMES_SOURCE else (reason, detail)))
        for path, reason, detail in rejected.select("path", "reason", "detail").iter_rows()
    ]
    unheaded = names.filter(pl.col("reject").is_null(), pl.col("heading").is_null())["path"]
    return [Outcome(row) for row in (*unnamed, *((path, None, 0, NO_HEADING, None) for path in unheaded))]


def cut_piece(piece: Piece) -> list[Outcome]:
    """Cut some panoramas."""
    piece.panoramas_folder.stat()  # a machine that does not see it must not say that panoramas have vanished
    return [_cut_one(piece, *panorama) for panorama in piece.panoramas]


def _cut_one(piece: Piece, path: str, heading: float, name: str, doubt: str | None) -> Outcome:
    from pipeline.panoramas.projection import (  # and so Pillow, which planning does without
        crop_headings,
        cut,
        read_panorama,
    )

    source, settings = piece.panoramas_folder / path, piece.settings
    _, modified_ns = stat_file(str(source))
    if modified_ns is None:
        return Outcome((path, heading, 0, Status.VANISHED.value, None))
    targets = [piece.output_folder / crop_path(path, name, each) for each in crop_headings(heading, settings)]
    if all(_has_time(target, modified_ns) for target in targets):
        return Outcome((path, heading, len(targets), OK, doubt), was_there=True)
    try:
        panorama = read_panorama(source)
        for crop, target in zip(cut(panorama, settings), targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = piece.unfinished / uuid.uuid4().hex
            crop.save(unfinished, "JPEG", quality=settings.crop_quality)
            os.utime(unfinished, ns=(modified_ns, modified_ns))
            unfinished.replace(target)
    except BadImageError as error:
        return Outcome((path, heading, 0, error.status.value, error.detail))
    return Outcome((path, heading, len(targets), OK, doubt))


def _has_time(file: Path, modified_ns: int) -> bool:
    return stat_file(str(file))[1] == modified_ns


def _summarise(outcomes: list[Outcome], settings: CropSettings) -> dict[str, Any]:
    statuses = pl.Series([each.row[3] for each in outcomes], dtype=pl.String).value_counts(sort=True)
    counts = dict(statuses.iter_rows())
    cut_now = sum(each.row[3] == OK and not each.was_there for each in outcomes)
    done = counts.pop(OK, 0)
    summary = {"panoramas": len(outcomes), "cut": done, "crops": done * settings.crops_num, "cut_now": cut_now}
    made = f"{summary['crops']:,} crops of {done:,} panoramas, {cut_now:,} of them cut now"
    return {**summary, **{f"not cut: {status}": count for status, count in counts.items()}, "made": made}


def _check_any_cut(summary: dict[str, Any], outcomes: list[Outcome], panoramas_folder: Path) -> None:
    bad = [each.row for each in outcomes if each.row[3] != OK]
    for path, _, _, status, detail in bad[:3]:
        logger.warning("not cut: %s: %s%s", path, status, f", {detail}" if detail else "")
    doubtful = [each.row for each in outcomes if each.row[3] == OK and each.row[4]]
    if doubtful:
        logger.warning("doubtful headings: %s, as of %s: %s", f"{len(doubtful):,}", doubtful[0][0], doubtful[0][4])
    if not summary["cut"]:
        why = ", ".join(filter(None, bad[0][3:]))
        raise UserError(f"{panoramas_folder}: none of {len(outcomes):,} panoramas can be cut. {bad[0][0]}: {why}.")
