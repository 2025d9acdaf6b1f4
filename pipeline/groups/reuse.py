"""Reuse what groups that were built before have in common with new ones: class counts and members."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from data_manifest.errors import UserError
from data_manifest.store.files import link_or_copy
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


@dataclass(frozen=True)
class Earlier:
    """Groups with the same cells, bins and group numbers, of other images or with another minimum per class."""

    folder: Path

    def link_counts(self, name: str, target: Path) -> bool:
        """Link the class counts of a partition; return whether they were there."""
        source = self.folder / COUNTS / name
        try:
            return read_notes(source).items() >= HASHED_BY.items() and _link(source, target)
        except UNREADABLE:
            return False

    def link_members(self, name: str, target: Path) -> bool:
        """Link a file of members; return whether it was there."""
        return _link(self.folder / MEMBERS / name, target)

    def find_classes(self, planned: pl.DataFrame) -> pl.DataFrame:
        """Return planned classes with `file_before` and `class_before`: where the same members are, null if nowhere."""
        try:
            counts = read_counts(table_files(self.folder, COUNTS))
            classes = read_table(self.folder, "classes")
        except UNREADABLE as error:
            logger.warning("%s cannot be reused: %s", self.folder, error)
            return without_reuse(planned)
        hashes = sum_counts(complete_frames(counts)).drop("num_images")
        before = plan_files(classes.join(hashes, on=CLASS_KEY, nulls_equal=True, maintain_order="left"))
        sizes = before.group_by("file").agg(pl.col("num_images").cast(pl.Int64).sum())
        whole = [name for name, rows in sizes.iter_rows() if _num_rows(self.folder / MEMBERS / name) == rows]
        same = [*CLASS_KEY, "num_images", "members_hash"]
        found = before.filter(pl.col("file").is_in(whole)).select(*same, file_before="file", class_before="class_index")
        return planned.join(found, on=same, how="left", nulls_equal=True, maintain_order="left")


def without_reuse(planned: pl.DataFrame) -> pl.DataFrame:
    """Return planned classes as `Earlier.find_classes` does where no class is found."""
    return planned.with_columns(file_before=pl.lit(None, pl.Categorical), class_before=pl.lit(None, pl.Int32))


def find_earlier(artifacts: Path, recipe: Recipe) -> Earlier | None:
    """Return the newest groups that new ones by a recipe can reuse, or None."""
    for folder, stored in find_recipes(artifacts, recipe, any_name=True):
        if _decisive(stored) == _decisive(recipe.as_dict()):
            return Earlier(folder)
    return None


def _decisive(recipe: dict[str, Any]) -> list[Any]:
    """Return the part of a recipe that must be equal for anything to be reused."""
    parts = [{**recipe.get(part, {}), **ANY_VALUE} for part in ("settings", "inputs")]
    return [recipe.get("version"), recipe.get("schema_version"), *parts]


def _link(source: Path, target: Path) -> bool:
    try:
        link_or_copy(source, target)
    except FileNotFoundError:
        return False
    return True


def _num_rows(file: Path) -> int | None:
    """Return the number of rows of a Parquet file, or None if it is missing or incomplete."""
    try:
        return int(pq.read_metadata(file).num_rows)
    except UNREADABLE:
        return None
