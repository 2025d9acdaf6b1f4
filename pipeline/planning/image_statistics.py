"""Compute the statistics of a manifest's images on which advice rests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.hemisphere import hemisphere
from data_manifest.images.data_set_names import folder_of
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.store.find import read_recipe_of
from data_manifest.tables import scan_table
from pipeline.metadata.fields import FULL_TURN
from pipeline.metadata.years import count_years
from pipeline.sources.source import source_settings_of

DEGREES_BETWEEN_CROPS = 30.0
TURN_IN_RADIANS = 6.284  # 2 pi, rounded up
COARSE_DECIMALS = 3  # of a degree: 111 metres


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of the usable images of a manifest."""

    manifest: Path
    origin: ImagesFolder  # folder of the images
    source_settings: dict[str, Any]
    figures: dict[str, Any]  # counts by name
    zones: list[dict[str, Any]]  # images and median position of each UTM zone and hemisphere, largest first
    years: list[dict[str, Any]]  # year and images, without unknown years

    @property
    def source(self) -> str:
        """The source of positions: names, table or exif."""
        return str(self.source_settings["source"])

    @property
    def has_one_heading(self) -> bool:
        """Whether all headings are the same, so that they are hardly measurements."""
        return bool(self.figures["distinct_headings"] == 1 and self.figures["with_heading"] > 1)

    @property
    def uses_headings(self) -> bool:
        """Whether classes should use headings: most images have one, and they differ."""
        return bool(self.figures["with_heading"] > self.figures["images"] / 2) and not self.has_one_heading


def compute_statistics(manifest: Path) -> ImageStatistics:
    """Return the statistics of a published manifest.

    Raises:
        UserError: The artifact is not a manifest.
    """
    recipe = read_recipe_of(manifest, "advise", ("manifest",))
    summary = recipe["summary"]
    images = scan_table(manifest, "manifest").with_columns(hemisphere())
    zones = images.group_by("utm_zone", "hemisphere").agg(
        images=pl.len(), latitude=pl.col("latitude").median(), longitude=pl.col("longitude").median()
    )
    shots = images.group_by("utm_zone", "utm_east", "utm_north").agg(
        shots=pl.coalesce("pano_id", "path").n_unique(), images=pl.len()
    )
    positions = shots.select(
        positions=pl.len(),
        at_a_shared_position=pl.col("images").filter(pl.col("shots") > 1).sum(),
        most_at_a_position=pl.col("shots").max(),
    )
    rejects = summary["files"] - summary["usable"]
    years = count_years(images.drop_nulls("year")).rename({"num_images": "images"})
    return ImageStatistics(
        manifest,
        folder_of(summary["origin"]),
        source_settings_of(recipe),
        {**_count(images), **positions.collect().row(0, named=True), "rejects": rejects},
        zones.sort("images", "utm_zone", descending=[True, False]).collect().to_dicts(),
        years.to_dicts(),
    )


def _count(images: pl.LazyFrame) -> dict[str, Any]:
    heading, half_turn = pl.col("heading"), TURN_IN_RADIANS / 2
    in_steps = (heading % DEGREES_BETWEEN_CROPS).round(6).is_in([0.0, DEGREES_BETWEEN_CROPS])
    decimals = pl.col("latitude").cast(pl.String).str.extract(r"\.(\d*)$").str.len_chars()
    row = images.select(
        images=pl.len(),
        with_heading=heading.is_not_null().sum(),
        heading_is_0=(heading == 0).sum(),
        heading_is_fractional=(heading % 1 != 0).sum(),
        heading_within_2_pi=(heading <= TURN_IN_RADIANS).sum(),
        heading_within_pi_of_0=((heading <= half_turn) | (heading >= FULL_TURN - half_turn)).sum(),
        heading_in_steps_of_30=in_steps.sum(),
        distinct_headings=heading.drop_nulls().n_unique(),
        magnetic=(pl.col("heading_reference") == "magnetic").sum(),
        from_track=(pl.col("heading_source") == "track").sum(),
        panoramas=pl.col("note").str.starts_with("equirectangular").sum(),
        turned=pl.col("note").str.starts_with("orientation").sum(),
        with_latitude=pl.col("latitude").is_not_null().sum(),
        rounded=(decimals <= COARSE_DECIMALS).sum(),
        with_year=pl.col("year").is_not_null().sum(),
    ).collect(engine="streaming")
    return row.row(0, named=True)
