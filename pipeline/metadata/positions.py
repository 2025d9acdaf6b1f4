"""Compute missing UTM positions, and compare given ones with the degrees.

The `utm` package takes the zone of an array's first element for all and raises on one bad value. So it is called per
zone and hemisphere, with values in range.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import utm

from data_manifest.hemisphere import hemisphere
from pipeline.metadata.rejects import Reason, reject_when

FAR_APART_M = 1000.0  # two positions farther apart are not of one place
NOTICEABLY_APART_M = 1.0  # the two positions of nearly every SF-XL name agree within 0.7 m
UTM_LATITUDES = (-80.0, 84.0)  # degrees; UTM is not defined beyond
COMPARED = ("utm_east", "utm_north", "utm_zone", "latitude", "longitude")
Floats = npt.NDArray[np.float64]
MAX_EXPLAINED = 1_000  # rows, in data that is wrong throughout


def complete_positions(images: pl.DataFrame) -> pl.DataFrame:
    """Return images with UTM computed where only latitude and longitude are given.

    An image without a UTM position gets a reject, if it has none yet.
    """
    has_utm = pl.col("utm_east").is_not_null() & pl.col("utm_north").is_not_null()
    computable = ~has_utm & pl.col("latitude").is_between(*UTM_LATITUDES) & pl.col("longitude").is_not_null()
    rows = images.with_row_index("row")
    places = rows.filter(computable)
    if not places.is_empty():
        images = rows.update(_to_utm(places), on="row").drop("row")
    detail = pl.lit("no UTM, and no latitude and longitude within the range of UTM")
    return images.with_columns(reject=pl.coalesce("reject", reject_when(~has_utm, Reason.NO_POSITION, detail)))


def _to_utm(places: pl.DataFrame) -> pl.DataFrame:
    """Return `row` and the UTM columns of places.

    Zone and band are constant within a square of one degree.
    """
    parts = []
    for (south, west), square in places.group_by(pl.col("latitude").floor(), pl.col("longitude").floor()):
        zone, band = utm.latlon_to_zone_number(south, west), utm.latitude_to_zone_letter(south)
        east, north = _project(square, zone, force_zone_letter=band)
        zone_and_band = (pl.lit(zone, dtype=pl.Int8).alias("utm_zone"), pl.lit(band).alias("utm_band"))
        parts.append(square.select("row", *zone_and_band, utm_east=pl.Series(east), utm_north=pl.Series(north)))
    return pl.concat(parts)


def _project(places: pl.DataFrame, zone: Any, **frame: Any) -> tuple[Floats, Floats]:
    """Return the UTM eastings and northings of places in one frame, in metres."""
    latitude, longitude = (places[column].to_numpy() for column in ("latitude", "longitude"))
    east, north, _, _ = utm.from_latlon(latitude, longitude, force_zone_number=zone, **frame)
    return east, north


def compare_positions(images: pl.DataFrame, strict: bool) -> pl.DataFrame:
    """Return images with `apart_m`, the distance between their two positions.

    It is null if one is missing. If `strict`, an image with more than 1 km gets a reject, if it has none yet.
    """
    places = images.select(*COMPARED, hemisphere()).with_row_index("row").drop_nulls()
    places = places.filter(pl.col("latitude").is_between(*UTM_LATITUDES))
    apart_m = np.full(len(images), np.nan)
    for (zone, half), in_frame in places.group_by("utm_zone", "hemisphere"):
        east, north = _project(in_frame, zone, force_northern=half == "N")
        distances = np.hypot(in_frame["utm_east"].to_numpy() - east, in_frame["utm_north"].to_numpy() - north)
        apart_m[in_frame["row"].to_numpy()] = distances
    images = images.with_columns(apart_m=pl.Series(apart_m).fill_nan(None))
    is_far = (images["apart_m"] > FAR_APART_M).fill_null(False) & images["reject"].is_null()
    if not strict or not is_far.any():
        return images
    kilometres = (pl.col("apart_m") / 1000).round(1)
    distance = pl.when(kilometres < 1000).then(pl.format("{} km", kilometres)).otherwise(pl.lit("over 1,000 km"))
    detail = pl.format("UTM and latitude/longitude are {} apart{}", distance, pl.lit(_explanations(images, is_far)))
    far = reject_when(pl.lit(is_far), Reason.POSITIONS_DISAGREE, detail)
    return images.with_columns(reject=pl.coalesce("reject", far))


def _explanations(images: pl.DataFrame, is_far: pl.Series) -> pl.Series:
    """Return the likely mistake of each image, after a colon; empty if unknown."""
    explanations = [""] * len(images)
    for row in images.with_row_index("row").filter(is_far).head(MAX_EXPLAINED).iter_rows(named=True):
        explanations[row["row"]] = _likely_mistake(row)
    return pl.Series(explanations, dtype=pl.String)


def _likely_mistake(row: dict[str, Any]) -> str:
    """Return the mistake without which the positions would agree, after a colon; empty if none."""
    degrees = (row["latitude"], row["longitude"])
    for (latitude, longitude), mistake in ((degrees, ""), (degrees[::-1], "latitude and longitude are swapped")):
        if not (UTM_LATITUDES[0] <= latitude <= UTM_LATITUDES[1] and -180 <= longitude <= 180):
            continue
        east, north, zone, _ = utm.from_latlon(latitude, longitude)
        if abs(east - row["utm_east"]) <= FAR_APART_M and abs(north - row["utm_north"]) <= FAR_APART_M:
            other_zone = f"the zone is {zone}, not {row['utm_zone']}" if zone != row["utm_zone"] else ""
            mistakes = " and ".join(filter(None, (mistake, other_zone)))
            return f": {mistakes}" if mistakes else ""
    return ""
