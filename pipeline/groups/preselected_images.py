"""Warn of images that were selected for another grouping than the one asked for.

SF-XL's `processed/train` has only the images of 8 groups, and `small/train` those of one group. They are recognised by
their content: nearly all images are in that few of many groups, which is not so in a whole city.
"""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from data_manifest.inspect.classes import show_settings
from pipeline.groups.classes import count_classes, group_index
from pipeline.groups.settings import GroupSettings

MIN_CLASSES = 1000  # fewer may be in few groups by chance, as along a straight street
MIN_SHARE = 0.999  # of the images: positions are rounded in names, which moves some to the next cell
SAMPLED_FILES = 4  # partitions are cut by hash, so a few represent all
PUBLISHED = GroupSettings()
logger = logging.getLogger(__name__)


class Selection(NamedTuple):
    """The images of the first groups of a grouping."""

    folder: str
    made_with: GroupSettings
    groups: int


SELECTIONS = (Selection("small/train", GroupSettings(L=12), 1), Selection("processed/train", PUBLISHED, 8))


def warn_if_manifest_is_preselected(manifest_files: list[Path], settings: GroupSettings) -> None:
    """Warn like `warn_if_preselected`, judging by a sample of a manifest's partitions."""
    if not is_published_grouping(settings):
        sample = pl.scan_parquet(manifest_files[:SAMPLED_FILES], glob=False)
        warn_if_preselected(count_classes(sample, PUBLISHED), settings)


def is_published_grouping(settings: GroupSettings) -> bool:
    """Return whether images get the same classes and groups as with the published settings."""
    return _grouping(settings) == _grouping(PUBLISHED)


def warn_if_preselected(counted: pl.DataFrame, settings: GroupSettings) -> None:
    """Warn if images, counted by the published classes, seem to be selected for another grouping than `settings`."""
    selections = find_selections(counted)
    if not selections or _grouping(settings) in [_grouping(each.made_with) for each in selections]:
        return
    folder, made_with, groups = selections[0]
    logger.warning(
        "%s: with %s nearly all images fall in %d of %d groups, so they seem to be selected for these values, as "
        "SF-XL's %s is, and with others classes lack images; use these values, or take all images, as in SF-XL's "
        "raw/train/database",
        *(show_settings(_grouping(each)) for each in (settings, made_with)),
        *(groups, made_with.N**2 * made_with.L, folder),
    )


def find_selections(counted: pl.DataFrame) -> list[Selection]:
    """Return the known selections that images, counted by the published classes, may be."""
    classes = counted.filter(pl.col("heading_bin").is_not_null())
    return [each for each in SELECTIONS if len(classes) >= MIN_CLASSES and _is_in_few_groups(classes, each)]


def _is_in_few_groups(classes: pl.DataFrame, selection: Selection) -> bool:
    sizes = classes.group_by(group_index(selection.made_with)).agg(pl.col("num_images").sum())["num_images"]
    return int(sizes.top_k(selection.groups).sum()) >= MIN_SHARE * int(sizes.sum())


def _grouping(settings: GroupSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in ("M", "alpha", "N", "L")}
