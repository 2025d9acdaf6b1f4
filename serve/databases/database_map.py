"""The map of a database: the number of images per square."""

import math
from dataclasses import dataclass
from typing import Any, Self

import polars as pl

from evaluation.localization.degrees import with_degrees
from evaluation.report.charts.maps import OUTLIERS, square_side
from evaluation.settings import METRES
from serve.answers import zone_name

DEGREES = "degrees"
HALF_CIRCLE = 180.0  # degrees
METRES_PER_DEGREE = 111_320.0  # of latitude
MAX_LATITUDE = 85.0  # up to which squares are as wide as high
MAX_SPAN_M = 40_000_000.0  # around the Earth; wider views have the same squares
DIGITS = 7  # after the point: 1 cm in degrees
Bounds = tuple[float, float, float, float]  # west, south, east, north


@dataclass(frozen=True, eq=False)
class DatabaseMap:
    """The positions of a database's images, in degrees or in metres.

    Metres are for positions without a zone or hemisphere. Longitudes continue beyond 180 for a database on both sides
    of that meridian, as in Fiji.
    """

    places: pl.DataFrame  # x and y of the images with a position in this unit
    unit: str  # degrees or metres
    unplaced: int  # images without a position in this unit
    zone: str = ""  # UTM zone of metres, if known

    @classmethod
    def of(cls, images: pl.DataFrame) -> Self:
        """Return the map of the rows of a manifest."""
        degrees = with_degrees(images).select(x="longitude", y="latitude").drop_nulls()
        if degrees.is_empty():
            zone = images["utm_zone"].mode().sort()[0]
            comparable = images.filter(pl.col("utm_zone").eq_missing(zone)).select(x="utm_east", y="utm_north")
            return cls(comparable, METRES, len(images) - len(comparable), zone_name(zone, None))
        eastward = degrees.with_columns(x=pl.col("x").mod(360))
        is_split = _width(degrees) > HALF_CIRCLE >= _width(eastward)
        return cls(eastward if is_split else degrees, DEGREES, len(images) - len(degrees))

    @property
    def bounds(self) -> list[float] | None:
        """West, south, east and north of all images; None without degrees. West > east across 180 degrees."""
        if self.unit != DEGREES:
            return None
        west, south = self.places.select(pl.all().min()).row(0)
        east, north = self.places.select(pl.all().max()).row(0)
        return [_longitude(west), south, _longitude(east), north]

    @property
    def extent(self) -> Bounds:
        """West, south, east and north of the images, without outliers."""
        low = self.places.select(pl.all().quantile(OUTLIERS, "lower")).row(0)
        return (*low, *self.places.select(pl.all().quantile(1 - OUTLIERS, "higher")).row(0))

    def squares(self, bounds: Bounds | None = None) -> dict[str, Any]:
        """Return the number of images per square of a view, by default of the extent.

        Each square is [x, y, images], with x and y of its south-west corner.
        """
        west, south, east, north = bounds or self.extent
        inside = self.places.lazy().filter(pl.col("x").is_between(west, east), pl.col("y").is_between(south, north))
        side_m, size = self._square((west, south, east, north))
        corners = [
            ((pl.col(axis) / length).floor() * length).round(DIGITS).alias(axis) for axis, length in size.items()
        ]
        counted = inside.select(corners).group_by("x", "y").agg(images=pl.len()).sort("x", "y").collect()
        return {
            "unit": self.unit,
            "zone": self.zone,
            "bounds": [west, south, east, north],
            "square_m": side_m,
            "square": list(size.values()),
            "squares": [list(row) for row in counted.iter_rows()],
            "unplaced": self.unplaced,
        }

    def _square(self, bounds: Bounds) -> tuple[float, dict[str, float]]:
        """Return the side of a view's squares: in metres, and in the unit of the map along x and y."""
        west, south, east, north = bounds
        metres = (1.0, 1.0)  # per unit
        if self.unit == DEGREES:
            latitude = min(abs(south + north) / 2, MAX_LATITUDE)
            metres = (METRES_PER_DEGREE * math.cos(math.radians(latitude)), METRES_PER_DEGREE)
        side = square_side(min(max((east - west) * metres[0], (north - south) * metres[1]), MAX_SPAN_M))
        return side, {"x": side / metres[0], "y": side / metres[1]}


def _longitude(x: float) -> float:
    return x - 360 if x > HALF_CIRCLE else x


def _width(places: pl.DataFrame) -> float:
    return float(places.select(pl.col("x").max() - pl.col("x").min()).item())
