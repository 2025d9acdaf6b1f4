"""Reuse the class counts and members that earlier groups have in common with new ones."""

import logging
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from data_manifest.errors import UserError
from data_manifest.store.files import link
from data_manifest.store.find import find_recipes
from data_manifest.store.recipe import Recipe
from data_manifest.tables import read_notes, read_table, table_files
from pipeline.groups.classes import CLASS_KEY, complete_frames, sum_counts
from pipeline.groups.gather import MEMBERS, plan_files
from pipeline.groups.spread import COUNTS, HASHED_BY, read_counts
from pipeline.verification.drop_bad_images import CHECKS, VERIFIED

ANY_VALUE = {"min_images_per_class": None, VERIFIED: None, "manifest": None, CHECKS: None}  # of settings and inputs
UNREADABLE = (OSError, UserError, pa.ArrowInvalid, pl.exceptions.PolarsError)
logger = logging.getLogger(__name__)


def find_earlier(artifacts: Path, recipe: Recipe) -> Path | None:
    """Return the newest groups of the same cells, heading bins and group numbers as those of a recipe, or None."""
    wanted = _decisive(recipe.as_dict())
    found = find_recipes(artifacts, recipe.stage)
    return next((folder for folder, stored in found if _decisive(stored) == wanted), None)


def _decisive(recipe: dict[str, Any]) -> list[Any]:
    """Return the part of a recipe that must be equal for anything to be reused."""
    parts = [{**recipe.get(part, {}), **ANY_VALUE} for part in ("settings", "inputs")]
    return [recipe.get("version"), recipe.get("schema_version"), *parts]


def link_counts(earlier: Path, target: Path) -> bool:
    """Link the class counts of a partition from earlier groups; return whether they were there."""
    source = earlier / COUNTS / target.name
    try:
        return read_notes(source).items() >= HASHED_BY.items() and link(source, target)
    except UNREADABLE:
        return False


def find_same_classes(planned: pl.DataFrame, earlier: Path | None) -> pl.DataFrame:
    """Return planned classes with the place of the same members in earlier groups.

    `file_before` is the file of members and `class_before` the class index; both are null for other members.
    """
    before = planned.clear()
    if earlier is not None:
        try:
            before = _plan_again(earlier)
        except UNREADABLE as error:
            logger.warning("%s cannot be reused: %s", earlier, error)
    same = [*CLASS_KEY, "num_images", "members_hash"]
    places = before.select(*same, file_before="file", class_before="class_index")
    return planned.join(places, on=same, how="left", nulls_equal=True, maintain_order="left")


def _plan_again(earlier: Path) -> pl.DataFrame:
    """Return the planned classes of earlier groups whose files of members are complete."""
    hashes = sum_counts(complete_frames(read_counts(table_files(earlier, COUNTS)))).drop("num_images")
    classes = read_table(earlier, "classes")
    planned = plan_files(classes.join(hashes, on=CLASS_KEY, nulls_equal=True, maintain_order="left"))
    sizes = planned.group_by("file").agg(pl.col("num_images").cast(pl.Int64).sum())
    complete = [name for name, rows in sizes.iter_rows() if _num_rows(earlier / MEMBERS / name) == rows]
    return planned.filter(pl.col("file").is_in(complete))


def link_members(planned: pl.DataFrame, earlier: Path, folder: Path) -> list[str]:
    """Link the files of members that earlier groups have, and return their names."""
    same = planned.filter(pl.col("file") == pl.col("file_before"))["file"].unique()
    return [name for name in same if link(earlier / MEMBERS / name, folder / name)]


def _num_rows(file: Path) -> int | None:
    """Return the number of rows of a Parquet file, or None if it is missing or incomplete."""
    try:
        return int(pq.read_metadata(file).num_rows)
    except UNREADABLE:
        return None
