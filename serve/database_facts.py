"""Facts about the model, the database and the limits, and a map of the database's images."""

import dataclasses
from typing import Any

import polars as pl

from data_manifest.progress import working
from data_manifest.store.recipe import read_recipe
from evaluation.report.charts.maps import Extent, count_squares, square_side
from evaluation.settings import EXACT
from serve.answers import zone_name
from serve.service import Service
from serve.uploads import readable_formats


def facts_of(service: Service) -> dict[str, Any]:
    """Return the model, the database, the limits and the formats of photos."""
    localizer, limits = service.localizer, service.limits
    index = localizer.database.index
    return {
        "model": service.model_name,
        "dimensions": localizer.dimensions,
        "images": len(localizer.images),
        "index": EXACT if index is None else read_recipe(index)["settings"]["kind"],
        "bounds": bounds_of(localizer.images),
        "calibrated": localizer.is_calibrated,
        "radius_m": localizer.radius_m,
        "limits": dataclasses.asdict(limits),
        "formats": list(readable_formats().values()),
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
