"""What is known of a body of images before groups are made of it: the figures that advice rests on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.hemisphere import hemisphere
from data_manifest.store.find import read_recipe_of
from data_manifest.store.references import folder_of
from data_manifest.tables import scan_table
from pipeline.metadata.fields import FULL_TURN
from pipeline.sources.source import source_settings_of

NEAR_M = 25.0  # the distance within which a database image answers a query
STEP = 30.0  # degrees between the crops of a panorama
TURN_IN_RADIANS = 6.284  # 2 pi, with room for rounding
COARSE_DECIMALS = 3  # of a degree: 111 metres
COLUMNS = ("path", "utm_east", "utm_north", "utm_zone", "utm_band", "latitude", "longitude", "pano_id", "heading")
MORE_COLUMNS = ("heading_source", "heading_reference", "year", "note")


@dataclass(frozen=True)
class Facts:
    """Figures of the usable images of a manifest.

    Args:
        manifest: The artifact.
        origin: The folder that the images are in.
        source_settings: How it is known where they were taken.
        figures: Counts and shares by name, as JSON knows them.
        frames: `utm_zone`, `hemisphere`, `images` and a place in each, the largest first.
        years: `year`, `images`, and `answered`, the share of them with an image of another year within 25 metres.
    """

    manifest: Path
    origin: Path
    source_settings: dict[str, Any]
    figures: dict[str, Any]
    frames: list[dict[str, Any]]
    years: list[dict[str, Any]]

    @property
    def source(self) -> str:
        """What said where they were taken: names, table or exif."""
        return str(self.source_settings["source"])


def find_facts(manifest: Path) -> Facts:
    """Return the figures of a published manifest.

    Raises:
        UserError: It is none.
    """
    recipe = read_recipe_of(manifest, "advise", ("manifest",))
    images = scan_table(manifest, "manifest").select(COLUMNS + MORE_COLUMNS).with_columns(hemisphere())
    rejects = scan_table(manifest, "rejects").select(pl.len()).collect().item()
    figures = {**_count(images), **_repeats(images), "rejects": rejects}
    origin = folder_of(Path(recipe["summary"]["origin"]))
    return Facts(manifest, origin, source_settings_of(recipe), figures, _frames(images), _years(images))


def _count(images: pl.LazyFrame) -> dict[str, Any]:
    heading = pl.col("heading")
    in_steps = (heading % STEP).round(6).is_in([0.0, STEP])
    decimals = pl.col("latitude").cast(pl.String).str.extract(r"\.(\d*)$").str.len_chars()
    half_turn = TURN_IN_RADIANS / 2
    most = heading.drop_nulls().value_counts(sort=True).first().struct.field("count")
    row = images.select(
        images=pl.len(),
        with_heading=heading.is_not_null().sum(),
        heading_is_0=(heading == 0).sum(),
        heading_is_fractional=(heading % 1 != 0).sum(),
        heading_within_2_pi=(heading <= TURN_IN_RADIANS).sum(),
        heading_within_pi_of_0=((heading <= half_turn) | (heading >= FULL_TURN - half_turn)).sum(),
        heading_in_steps_of_30=in_steps.sum(),
        most_common_heading=most,
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


def _repeats(images: pl.LazyFrame) -> dict[str, Any]:
    """Return how many images share a position with one of another panorama, and the most that share one."""
    shots = images.group_by("utm_zone", "utm_east", "utm_north").agg(
        shots=pl.coalesce("pano_id", "path").n_unique(), images=pl.len()
    )
    return (
        shots.select(
            positions=pl.len(),
            at_a_shared_position=pl.col("images").filter(pl.col("shots") > 1).sum(),
            most_at_a_position=pl.col("shots").max(),
        )
        .collect()
        .row(0, named=True)
    )


def _frames(images: pl.LazyFrame) -> list[dict[str, Any]]:
    found = images.group_by("utm_zone", "hemisphere").agg(
        images=pl.len(), latitude=pl.col("latitude").median(), longitude=pl.col("longitude").median()
    )
    return found.sort("images", "utm_zone", descending=[True, False]).collect().to_dicts()


def _years(images: pl.LazyFrame) -> list[dict[str, Any]]:
    """Return the years, and how many images of each have one of another year in their cell or a neighbouring one.

    Cells have the side of the distance, so a neighbour may be somewhat farther.
    """
    cell = [(pl.col(axis) / NEAR_M).floor().cast(pl.Int64).alias(axis) for axis in ("utm_east", "utm_north")]
    cells = (
        images.drop_nulls("year")
        .group_by("utm_zone", "hemisphere", *cell, "year")
        .agg(images=pl.len())
        .collect(engine="streaming")
    )
    key = ["utm_zone", "hemisphere", "utm_east", "utm_north"]
    around = pl.concat(
        cells.select(
            "utm_zone", "hemisphere", pl.col("utm_east") + east, pl.col("utm_north") + north, other_year="year"
        )
        for east in (-1, 0, 1)
        for north in (-1, 0, 1)
    ).unique()
    other = (
        cells.join(around, on=key, nulls_equal=True)
        .filter(pl.col("year") != pl.col("other_year"))
        .unique([*key, "year"])
        .group_by("year")
        .agg(answered=pl.col("images").sum())
    )
    years = cells.group_by("year").agg(pl.col("images").sum()).join(other, on="year", how="left").sort("year")
    return years.with_columns(answered=pl.col("answered").fill_null(0) / pl.col("images")).to_dicts()
