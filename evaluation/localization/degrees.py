"""Latitude and longitude of images whose names have only UTM positions."""

import polars as pl
import utm

from data_manifest.hemisphere import hemisphere

EASTINGS, NORTHINGS = (100_000, 1_000_000), (0, 10_000_000)  # metres; `utm` is accurate within them


def with_degrees(images: pl.DataFrame) -> pl.DataFrame:
    """Return manifest rows with latitude and longitude computed where null.

    They stay null where the zone or the hemisphere is unknown, and for coordinates outside of UTM.
    """
    is_missing = pl.col("latitude").is_null() | pl.col("longitude").is_null()
    if not images.select(is_missing.any()).item():
        return images
    rows = images.with_row_index("row_of_image")
    computable = (
        is_missing
        & pl.col("utm_zone").is_between(1, 60)
        & hemisphere().is_not_null()
        & pl.col("utm_east").is_between(*EASTINGS, closed="left")
        & pl.col("utm_north").is_between(*NORTHINGS)
    )
    for (zone, half), frame in rows.filter(computable).group_by("utm_zone", hemisphere()):
        metres = (frame[name].to_numpy() for name in ("utm_east", "utm_north"))
        latitude, longitude = utm.to_latlon(*metres, zone, northern=half == "N")
        degrees = {"latitude": pl.Series(latitude), "longitude": pl.Series(longitude)}
        rows = rows.update(frame.select("row_of_image", **degrees), on="row_of_image")
    return rows.drop("row_of_image")
