"""Whether the images were selected for one grouping, and are unfit for others, as SF-XL's training images are.

Its `processed/train` holds the images of 8 groups alone, those that the published models were trained on, and
`small/train` those of one. Folders get other names, so that is told from the images: under the grouping of the
selection nearly all fall in these few of many groups, which no city's do.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.groups.classes import count_classes, group_index
from pipeline.groups.settings import GroupSettings

ENOUGH_CLASSES = 1000  # with fewer, as along a straight street, few groups need not mean anything
NEARLY_ALL = 0.999  # of the images: positions are rounded in names, which moves some into the next cell
SAMPLED_FILES = 4  # a manifest's partitions are cut by hash, so that a few stand for all
PUBLISHED = GroupSettings()
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Selection:
    """Images of a few groups of a grouping."""

    folder: str
    made_with: GroupSettings
    groups: int

    @property
    def all_groups(self) -> int:
        """How many groups the grouping makes."""
        return self.made_with.N**2 * self.made_with.L


SELECTIONS = (Selection("small/train", GroupSettings(L=12), 1), Selection("processed/train", PUBLISHED, 8))


def warn_of_selection_in(manifest_files: list[Path], settings: GroupSettings) -> None:
    """Warn, as `warn_of_selection` does, by a sample of a manifest's partitions."""
    if not is_published_grouping(settings):
        sample = pl.scan_parquet(manifest_files[:SAMPLED_FILES], glob=False)
        warn_of_selection(count_classes(sample, PUBLISHED), settings)


def is_published_grouping(settings: GroupSettings) -> bool:
    """Return whether the groups are cut as the published ones are."""
    return _grouping(settings) == _grouping(PUBLISHED)


def warn_of_selection(counted: pl.DataFrame, settings: GroupSettings) -> None:
    """Warn if images, counted by the published classes, were selected for another grouping than is wanted."""
    selections = selections_that_fit(counted)
    if not selections or any(_grouping(each.made_with) == _grouping(settings) for each in selections):
        return
    selection = selections[0]
    text = (
        "%s: with %s nearly all images fall in %d of %d groups, so they seem to be selected for these values, as "
        "SF-XL's %s is, and with others classes lack images; use these values, or take all images, as in SF-XL's "
        "raw/train/database"
    )
    made_with = _shown(selection.made_with)
    logger.warning(text, _shown(settings), made_with, selection.groups, selection.all_groups, selection.folder)


def selections_that_fit(counted: pl.DataFrame) -> list[Selection]:
    """Return the known selections that images, counted by the published classes, may be."""
    classes = counted.filter(pl.col("heading_bin").is_not_null())
    return [each for each in SELECTIONS if len(classes) >= ENOUGH_CLASSES and _is_in_few_groups(classes, each)]


def _is_in_few_groups(classes: pl.DataFrame, selection: Selection) -> bool:
    sizes = classes.group_by(group_index(selection.made_with)).agg(pl.col("num_images").sum())["num_images"]
    return int(sizes.top_k(selection.groups).sum()) >= NEARLY_ALL * int(sizes.sum())


def _grouping(settings: GroupSettings) -> tuple[float, float, int, int]:
    return settings.M, settings.alpha, settings.N, settings.L


def _shown(settings: GroupSettings) -> str:
    return f"M = {settings.M:g}, alpha = {settings.alpha:g}, N = {settings.N}, L = {settings.L}"
