"""What groups that were made before have in common with those to be made: counts of partitions, and files of members.

Partitions of a manifest never change, and their names tell their content. So the counts of those that are still there
hold, and a class differs only if it has an image in those that came or went, and that image is not in both; or an image
of its cell lacks the zone, which others of the cell give. Files of members without such a class, and with the same
numbers, are the same bytes.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.schemas import SCHEMA_VERSION
from data_manifest.store.find import find_by_digest, find_recipes
from data_manifest.store.recipe import Recipe, is_published
from data_manifest.store.references import MANIFEST_STAGES
from data_manifest.tables import read_table
from pipeline.groups.cells import CLASS_KEY
from pipeline.groups.classes import CELL, cells_with_unknown_frames
from pipeline.groups.gather import FILE, file_name, plan_files
from pipeline.groups.settings import GroupSettings
from pipeline.groups.spread import read_images
from pipeline.manifest.build_partition import key_of
from pipeline.verification.drop_bad_images import CHECKS, VERIFIED

COUNTS, MANIFEST = "class_counts", "manifest"
FEW_PARTITIONS = 4
LEAST_COUNTS = "min_images_per_class"  # of the settings, one that the counts do not depend on


@dataclass(frozen=True)
class Earlier:
    """Groups that were made before by the same cells and groups, of other images or another least number of them.

    Args:
        groups: Their artifact.
        manifest: The manifest that they were made of.
    """

    groups: Path
    manifest: Path

    @functools.cached_property  # each partition of today is looked for in it
    def partitions(self) -> frozenset[str]:
        """The names of the manifest's partitions that they were made of."""
        return frozenset(path.name for path in (self.groups / COUNTS).glob("*.parquet"))

    def is_there(self) -> bool:
        """Return whether nothing of it has been removed."""
        return is_published(self.groups) and is_published(self.manifest)


def find_earlier(artifacts: Path, recipe: Recipe) -> Earlier | None:
    """Return the newest groups that are like those of a recipe, and whose manifest is still there."""
    for groups, found in find_recipes(artifacts, recipe, any_name=True):
        if not _is_alike(found, recipe):
            continue
        if manifest := find_by_digest(artifacts, found["inputs"][MANIFEST], *MANIFEST_STAGES):
            return Earlier(groups, manifest)
    return None


def _is_alike(found: dict[str, Any], recipe: Recipe) -> bool:
    def decisive(settings: Any, inputs: Any) -> Any:
        return {**settings, LEAST_COUNTS: None, VERIFIED: None}, {**inputs, MANIFEST: None, CHECKS: None}

    same_code = (found["version"], found["schema_version"]) == (recipe.version, SCHEMA_VERSION)
    return same_code and decisive(found["settings"], found["inputs"]) == decisive(recipe.settings, recipe.inputs)


@dataclass(frozen=True)
class Change:
    """Partitions that earlier groups were made of, and those of today with the same images, but for what changed."""

    before: tuple[Path, ...]
    after: tuple[Path, ...]


def changes(earlier: Earlier, files: list[Path]) -> list[Change]:
    """Return the partitions that are not the same in earlier groups as in these files.

    Those of one key are compared with each other; where a partition was cut in two, keys differ, and all such are
    compared together.
    """
    there, today = earlier.partitions, {file.name for file in files}
    after = {key_of(file.name): file for file in files if file.name not in there}
    before = {key_of(name): earlier.manifest / MANIFEST / name for name in there - today}
    both = sorted(before.keys() & after.keys())
    others = Change(
        tuple(before[key] for key in sorted(before.keys() - after.keys())),
        tuple(after[key] for key in sorted(after.keys() - before.keys())),
    )
    return [Change((before[key],), (after[key],)) for key in both] + [others] * bool(others.before or others.after)


def are_few(changed: list[Change], files: list[Path]) -> bool:
    """Return whether so little changed that comparing costs less than it saves."""
    return sum(len(change.after) for change in changed) <= max(FEW_PARTITIONS, len(files) // 2)


def changed_classes(change: Change, settings: GroupSettings) -> pl.DataFrame:
    """Return the keys of the classes that have an image on only one side of a change, as the images themselves say."""
    before, after = ([read_images(file, settings) for file in files] for files in (change.before, change.after))
    differing = [*before, *after]
    if before and after:
        sides = pl.concat(before), pl.concat(after)
        differing = [
            one.join(other, on=one.columns, how="anti", nulls_equal=True) for one, other in (sides, reversed(sides))
        ]
    return pl.concat(differing).select(CLASS_KEY).unique()


def changed_cells(changed: pl.DataFrame, unknown: pl.DataFrame) -> pl.DataFrame:
    """Return the cells in which any class may have changed.

    Args:
        changed: What `changed_classes` gave.
        unknown: Today's cells with an image of unknown zone or hemisphere.
    """
    unknown = pl.concat([unknown, cells_with_unknown_frames([changed])]).unique()
    return changed.select(CELL).unique().join(unknown, on=CELL, how="semi")


@dataclass(frozen=True)
class Reuse:
    """What of earlier groups is taken over.

    Args:
        linked: The names of files of members that are the same.
        classes: The classes of all other files, with `piece`, and `piece_before` and `class_before`: the file and the
            number in earlier groups of those whose images are the same; null for others.
    """

    linked: list[str]
    classes: pl.DataFrame


def plan_reuse(planned: pl.DataFrame, earlier: Earlier, changed: pl.DataFrame, cells: pl.DataFrame) -> Reuse:
    """Compare planned files with those of earlier groups.

    Args:
        planned: What `plan_files` gave.
        earlier: The earlier groups.
        changed: The keys of the classes whose images are not the same.
        cells: The cells in which no class may be the same.
    """
    before = plan_files(read_table(earlier.groups, "classes"))
    sizes = before.group_by(FILE).agg(classes_before=pl.len())
    same = before.join(changed, on=CLASS_KEY, how="anti", nulls_equal=True).join(cells, on=CELL, how="anti")
    classes = planned.join(
        same.select(*CLASS_KEY, piece_before="piece", class_before="class_index"),
        on=CLASS_KEY,
        how="left",
        nulls_equal=True,
        maintain_order="left",
    ).join(sizes, on=FILE, how="left", maintain_order="left")
    stays = (pl.col("piece") == pl.col("piece_before")) & (pl.col("class_index") == pl.col("class_before"))
    is_same = stays.fill_null(False).all() & (pl.len() == pl.col("classes_before").first()).fill_null(False)
    classes = classes.with_columns(is_same=is_same.over(FILE)).drop("classes_before")
    linked = classes.filter("is_same").select(FILE).unique(maintain_order=True)
    return Reuse([file_name(*file) for file in linked.iter_rows()], classes.filter(~pl.col("is_same")).drop("is_same"))


def nothing_to_reuse(planned: pl.DataFrame) -> Reuse:
    """Return that all files are to be made of images put aside."""
    none = pl.lit(None, pl.Int32)
    return Reuse([], planned.with_columns(piece_before=none, class_before=none))
