"""Facts about a model and a database, and a map of the database's images."""

from typing import Any

import polars as pl

from data_manifest.progress import working
from data_manifest.store.recipe import read_recipe
from evaluation.localization.localize import Localizer
from evaluation.report.charts.maps import Extent, count_squares, square_side
from evaluation.settings import EXACT
from serve.answers import zone_name


def facts_of(localizer: Localizer, model_name: str) -> dict[str, Any]:
    """Return the model and the database, in numbers and degrees."""
    index = localizer.database.index
    return {
        "model": model_name,
        "dimensions": localizer.dimensions,
        "images": len(localizer.images),
        "index": EXACT if index is None else read_recipe(index)["settings"]["kind"],
        "bounds": bounds_of(localizer.images),
        "calibrated": localizer.is_calibrated,
        "radius_m": localizer.radius_m,
    }


@working("drawing the map of the database")
def map_of(images: pl.DataFrame) -> dict[str, Any]:
    """Return an extent in metres of the UTM zone with the most images, and how many images its squares have.

    Each square is [east, north, images], where east and north are those of its south-west corner.
    """
    extent = Extent.of(images.lazy())
    side = square_side(extent)
    squares = count_squares(images.lazy(), extent, side)
    return {
        "zone": zone_name(extent.zone, extent.hemisphere),
        **{name: getattr(extent, name) for name in ("west", "south", "east", "north")},
        "square_m": side,
        "squares": [list(row) for row in squares.iter_rows()],
    }


def bounds_of(images: pl.DataFrame) -> list[float] | None:
    """Return west, south, east and north in degrees; None if no image has latitude and longitude."""
    columns = [pl.col(name) for name in ("longitude", "latitude")]
    low, high = (columns[0].min(), columns[1].min()), [column.max().name.suffix("_max") for column in columns]
    bounds = list(images.select(*low, *high).row(0))
    return None if None in bounds else bounds
