"""Why two positions of an image disagree, where that can be told: latitude and longitude swapped, or another zone."""

from typing import Any

import polars as pl
import utm

NEAR_M = 1000.0
LOOKED_INTO = 1_000


def why_apart(row: dict[str, Any]) -> str:
    """Return what is likely wrong with a row whose UTM and latitude/longitude are far apart; empty if unknown."""
    east, north, zone = row["utm_east"], row["utm_north"], row["utm_zone"]
    as_written, swapped = (row["latitude"], row["longitude"]), (row["longitude"], row["latitude"])
    for (latitude, longitude), fault in ((as_written, ""), (swapped, "latitude and longitude are swapped")):
        place = _utm(latitude, longitude)
        if place is None or abs(place[0] - east) > NEAR_M or abs(place[1] - north) > NEAR_M:
            continue
        other_zone = f"the zone is {place[2]}, not {zone}" if place[2] != zone else ""
        return " and ".join(filter(None, (fault, other_zone)))
    return ""


def _utm(latitude: float, longitude: float) -> tuple[float, float, int] | None:
    if not (-80 <= latitude <= 84 and -180 <= longitude <= 180):  # where UTM is defined
        return None
    east, north, zone, _ = utm.from_latlon(latitude, longitude)
    return float(east), float(north), int(zone)


def told(images: pl.DataFrame, far: pl.Series) -> pl.Series:
    """Return for each image what is likely wrong, with a colon before it; empty for those that are not far apart.

    It is looked into for the first ones alone, of data that are wrong throughout.
    """
    reasons = [""] * len(images)
    for row in images.with_row_index("row").filter(far).head(LOOKED_INTO).iter_rows(named=True):
        why = why_apart(row)
        reasons[row["row"]] = f": {why}" if why else ""
    return pl.Series(reasons, dtype=pl.String)
