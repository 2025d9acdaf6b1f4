"""Preview groupings from counts, without writing anything: classes, images per class, what is dropped, disk space."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.inspect.classes import group_sizes
from data_manifest.progress import working
from data_manifest.settings import Settings, setting
from pipeline.execution.disk_space import MEMBERS_BYTES_PER_IMAGE
from pipeline.groups.classes import number_classes
from pipeline.groups.preselected_images import PUBLISHED, is_published_grouping, warn_if_preselected
from pipeline.groups.settings import GroupSettings
from pipeline.groups.summary import check_any_class, summarise_classes
from pipeline.metadata.years import count_excluded_by_year
from pipeline.planning.count_images import ImageCounts, count_images
from pipeline.planning.forecast_reads import forecast_reads

QUANTILES = {"least": 0.0, "lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75, "most": 1.0}
BATCH_SIZE = 32


@dataclass(frozen=True)
class EpochSettings(Settings):
    """Size of a training epoch; the defaults are those of training, which this package must not import."""

    title = "Optimisation"

    batch_size: int = setting(BATCH_SIZE, "images per training batch, each of another class")
    iterations_per_epoch: int = setting(10_000, "batches per training epoch")

    def check(self) -> None:
        """Raise UserError for an empty epoch."""
        for name, value in self.as_dict().items():
            if value < 1:
                raise UserError(f"{name} = {value} must be at least 1.")


@dataclass(frozen=True)
class Plan:
    """What a grouping would give."""

    settings: GroupSettings
    summary: dict[str, Any]  # as in the recipe of groups
    images_per_class: dict[str, int | None]  # quantiles over the classes, by name; None without classes
    groups: pl.DataFrame  # with `times_shown` per class and epoch, `trainable`, and shares from `forecast_reads`
    num_bytes: int  # estimated
    error: str | None  # why the groups would not be built

    @property
    def trainable(self) -> dict[str, int]:
        """The numbers of trainable groups, their classes and their images."""
        able = self.groups.filter("trainable")
        return {"groups": len(able), "classes": int(able["classes"].sum()), "images": int(able["images"].sum())}


def plan_groups(
    images: ImagesFolder,
    artifacts: Path,
    groupings: Sequence[GroupSettings],
    epoch: EpochSettings,
    rescan: bool = False,
) -> tuple[ImageCounts, list[Plan]]:
    """Return the counts of images and a plan per grouping, and warn of unwise settings.

    Arguments and errors are those of `count_images`.
    """
    others = [settings for settings in groupings if not is_published_grouping(settings)]
    counts = count_images(images, artifacts, [*groupings, PUBLISHED] if others else groupings, rescan)
    for settings in groupings:
        settings.warn_if_unwise()
    for settings in others:
        warn_if_preselected(counts.by_class[PUBLISHED], settings)
    return counts, make_plans(counts, groupings, epoch)


@working("comparing groupings")
def make_plans(counts: ImageCounts, groupings: Sequence[GroupSettings], epoch: EpochSettings) -> list[Plan]:
    """Return a plan for each of the groupings that the images were counted for."""
    return [_make_plan(counts, settings, epoch) for settings in groupings]


def _make_plan(counts: ImageCounts, settings: GroupSettings, epoch: EpochSettings) -> Plan:
    summary, error = summarise_classes(counts.by_class[settings], settings), None
    try:
        summary |= count_excluded_by_year(counts.by_year, settings.years)
        check_any_class(summary, settings)
    except UserError as raised:
        error = str(raised)
    classes = number_classes(counts.by_class[settings], settings)
    quantile = pl.col("num_images").quantile
    sizes = classes.select(**{name: quantile(share, "nearest").cast(pl.Int64) for name, share in QUANTILES.items()})
    groups = group_sizes(classes.lazy()).with_columns(
        times_shown=epoch.batch_size * epoch.iterations_per_epoch / pl.col("classes"),
        trainable=pl.col("classes") >= epoch.batch_size,  # enough classes for a batch
    )
    reads = forecast_reads(classes, epoch.batch_size, epoch.iterations_per_epoch)
    groups = groups.join(reads, on="group_index", how="left", maintain_order="left")
    return Plan(settings, summary, sizes.row(0, named=True), groups, summary["images"] * MEMBERS_BYTES_PER_IMAGE, error)
