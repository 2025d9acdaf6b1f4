"""What groupings would give, from counts alone: classes, images, groups, what is left out, space on the disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.errors import UserError
from data_manifest.inspect.classes import group_sizes
from data_manifest.progress import working
from data_manifest.settings import Settings, setting
from data_manifest.store.files import bytes_in
from pipeline.execution.disk_space import groups_bytes, manifest_bytes
from pipeline.groups.classes import number_classes
from pipeline.groups.preselected_images import PUBLISHED, is_published_grouping, warn_if_preselected
from pipeline.groups.settings import GroupSettings
from pipeline.groups.summary import check_any_class, summarise_classes
from pipeline.metadata.years import left_out_by_year
from pipeline.planning.count_images import Counted, count_images, counting_rule

QUANTILES = {"least": 0.0, "lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75, "most": 1.0}


@dataclass(frozen=True)
class EpochSettings(Settings):
    """What an epoch of training shows; the published values, for this stage knows nothing of training's own."""

    batch_size: int = setting(32, "images in a batch of training, each of another class")
    iterations_per_epoch: int = setting(10_000, "batches in an epoch of training")

    def check(self) -> None:
        """Refuse an epoch that shows nothing."""
        for name, value in self.as_dict().items():
            if value < 1:
                raise UserError(f"{name} = {value}: training needs at least 1")


@dataclass(frozen=True)
class Plan:
    """What one grouping would give.

    Args:
        settings: The grouping.
        summary: As in the recipe of the groups.
        images_a_class: The quantiles of the classes that are taken, by name; None where there is none.
        groups: `group_index`, `classes`, `images`, `times_shown`, how often an epoch shows each class, and `trainable`,
            whether it has a class for each image of a batch, as training needs.
        num_bytes: Of the groups on the disk, about.
        refused: Why the groups would not be built, if they would not.
    """

    settings: GroupSettings
    summary: dict[str, Any]
    images_a_class: dict[str, int | None]
    groups: pl.DataFrame
    num_bytes: int
    refused: str | None


def plan_groups(
    images: Path, artifacts: Path, groupings: Sequence[GroupSettings], epoch: EpochSettings, rescan: bool = False
) -> tuple[Counted, list[Plan]]:
    """Return what is known of the images, and a plan for each grouping; what is unwise is warned of.

    Args:
        images: As in `count_images`.
        artifacts: Likewise.
        groupings: What to compare.
        epoch: What an epoch of training shows.
        rescan: As in `count_images`.

    Raises:
        UserError: As in `count_images`.
    """
    others = [settings for settings in groupings if not is_published_grouping(settings)]
    counted = count_images(images, artifacts, [*groupings, PUBLISHED] if others else groupings, rescan)
    for settings in groupings:
        settings.warn_if_unwise()
    for settings in others:
        warn_if_preselected(counted.by_class[counting_rule(PUBLISHED)], settings)
    return counted, plans_of(counted, groupings, epoch)


@working("comparing groupings")
def plans_of(counted: Counted, groupings: Sequence[GroupSettings], epoch: EpochSettings) -> list[Plan]:
    """Return a plan for each grouping, of images that were counted for these."""
    return [_plan(counted, settings, epoch) for settings in groupings]


def bytes_of_manifest(counted: Counted) -> int:
    """Return the bytes that the manifest has on the disk, or about would have."""
    if counted.manifest is None:
        return manifest_bytes(counted.summary["usable"])
    return bytes_in(counted.manifest)


def _plan(counted: Counted, settings: GroupSettings, epoch: EpochSettings) -> Plan:
    by_class = counted.by_class[counting_rule(settings)]
    summary, refused = summarise_classes(by_class, settings), None
    try:
        summary |= left_out_by_year(counted.by_year, settings.years)
        check_any_class(summary, settings)
    except UserError as error:
        refused = str(error)
    classes = number_classes(by_class.filter(pl.col("num_images") >= settings.min_images_per_class), settings)
    return Plan(
        settings,
        summary,
        _quantiles(classes["num_images"]),
        group_sizes(classes.lazy()).with_columns(
            times_shown=epoch.batch_size * epoch.iterations_per_epoch / pl.col("classes"),
            trainable=pl.col("classes") >= epoch.batch_size,
        ),
        groups_bytes(summary["images"]),
        refused,
    )


def _quantiles(sizes: pl.Series) -> dict[str, int | None]:
    values = {name: sizes.quantile(share, "nearest") for name, share in QUANTILES.items()}
    return {name: None if value is None else int(value) for name, value in values.items()}
