"""Maps in metres without tiles: the extent of most images, a grid, a scale bar, and density in squares."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
import utm
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from data_manifest.hemisphere import hemisphere
from evaluation.report.charts.style import COLOUR, ROUND_NUMBERS, WIDTH, new_chart

FRAME = ("utm_zone", "hemisphere")
MAX_SQUARES = 110  # along the longer side of a map
OUTLIERS = 0.001  # fraction of the images that may be outside the map at each end of an axis
MARGIN = 0.04  # of the longer side
MIN_MARGIN_M = 5.0
MIN_ASPECT = 0.6  # ratio of the shorter side to the longer one
TICKS = 4  # along an axis as long as a chart is wide
METRES_PER_KM = 1000
MAX_SIDE_IN_METRES = 10_000  # longer maps are labelled in kilometres


@dataclass(frozen=True)
class Extent:
    """A rectangle of a UTM zone, in metres."""

    zone: int | None
    hemisphere: str | None
    west: float
    south: float
    east: float
    north: float

    @property
    def name(self) -> str:
        """The zone as in `UTM 10N`."""
        return f"UTM {self.zone or ''}{self.hemisphere or ''}".strip()

    @property
    def side(self) -> float:
        """The longer side, in metres."""
        return max(self.east - self.west, self.north - self.south)

    @property
    def centre(self) -> tuple[float, float] | None:
        """Latitude and longitude of the centre in degrees, or None if the zone is unknown."""
        if self.zone is None or self.hemisphere is None:
            return None
        east, north = (self.west + self.east) / 2, (self.south + self.north) / 2
        latitude, longitude = utm.to_latlon(east, north, self.zone, northern=self.hemisphere == "N", strict=False)
        return float(latitude), float(longitude)

    @classmethod
    def of(cls, images: pl.LazyFrame) -> Self:
        """Return the extent of the zone with the most images, without outliers and widened to a minimum aspect."""
        zones = images.group_by("utm_zone", hemisphere()).len().collect(engine="streaming")
        zone, half, _ = zones.sort("len", *FRAME, descending=[True, False, False]).row(0)
        columns = [pl.col(f"utm_{axis}") for axis in ("east", "north")]
        low = [column.quantile(OUTLIERS, "lower") for column in columns]
        high = [column.quantile(1 - OUTLIERS, "higher").name.suffix("_high") for column in columns]
        west, south, east, north = in_frame(images, zone, half).select(*low, *high).collect(engine="streaming").row(0)
        side = max(east - west, north - south)
        margin = max(MARGIN * side, MIN_MARGIN_M)
        x, y = (margin + max(0.0, MIN_ASPECT * side - length) / 2 for length in (east - west, north - south))
        return cls(zone, half, west - x, south - y, east + x, north + y)

    def inside(self, images: pl.LazyFrame) -> pl.LazyFrame:
        """Return the images inside."""
        east = pl.col("utm_east").is_between(self.west, self.east)
        north = pl.col("utm_north").is_between(self.south, self.north)
        return in_frame(images, self.zone, self.hemisphere).filter(east & north)


def in_frame(images: pl.LazyFrame, zone: int | None, half: str | None) -> pl.LazyFrame:
    """Return the images of one zone and hemisphere, whose coordinates are comparable."""
    return images.filter(pl.col("utm_zone").eq_missing(zone), hemisphere().eq_missing(pl.lit(half, pl.String)))


def square_side(length: float) -> float:
    """Return a round side in metres for the squares on a map of this length."""
    return next(float(number) for number in ROUND_NUMBERS if number * MAX_SQUARES >= length)


def count_squares(images: pl.LazyFrame, extent: Extent, side: float) -> pl.DataFrame:
    """Return `east` and `north` of the south-west corner, in metres, and `images` of each non-empty square."""
    corner = [((pl.col(f"utm_{axis}") / side).floor() * side).alias(axis) for axis in ("east", "north")]
    counted = extent.inside(images).select(corner).group_by("east", "north").agg(images=pl.len())
    return counted.sort("east", "north").collect(engine="streaming")


def new_map(extent: Extent) -> tuple[Figure, Axes]:
    """Return figure and axes of an extent, with a grid from its south-west corner."""
    aspect = min(1.0, (extent.north - extent.south) / (extent.east - extent.west))
    figure, axes = new_chart(WIDTH, WIDTH * aspect + 0.25)
    axes.set_aspect("equal")
    axes.set(xlim=(extent.west, extent.east), ylim=(extent.south, extent.north))
    axes.grid(visible=True, axis="both")
    unit, name = (1, "metres") if extent.side < MAX_SIDE_IN_METRES else (METRES_PER_KM, "km")
    locator = MaxNLocator(TICKS, steps=[1, 2, 5, 10])
    offsets = [tick for tick in locator.tick_values(0, extent.side) if 0 <= tick <= extent.side]
    for axis, start, end in ((axes.xaxis, extent.west, extent.east), (axes.yaxis, extent.south, extent.north)):
        inside = [offset for offset in offsets if offset <= end - start]
        axis.set_ticks([start + offset for offset in inside], labels=[f"{offset / unit:g}" for offset in inside])
    axes.set(xlabel=f"{name} east of the corner", ylabel=f"{name} north")
    return figure, axes


def draw_density(
    axes: Axes, squares: pl.DataFrame, side: float, role: str = "density", strength: float = 1.0, has_key: bool = True
) -> None:
    """Draw squares whose opacity shows the number of images, for light and dark pages, with a key above the map."""
    if squares.is_empty():
        return
    corners = squares.select("east", "north").to_numpy()
    west, south = corners.min(axis=0)
    columns, rows = np.rint((corners - (west, south)) / side).astype(np.int64).T
    grid = np.full((rows.max() + 1, columns.max() + 1), np.nan)  # empty squares stay transparent
    grid[rows, columns] = squares["images"].to_numpy()
    low, high = int(np.nanmin(grid)), int(np.nanmax(grid))
    colour = to_rgb(COLOUR[role])
    weakest = 0.4 * strength if low < high else strength
    limits = axes.axis()  # imshow would change them
    image = axes.imshow(
        grid,
        cmap=LinearSegmentedColormap.from_list("ink", [(*colour, weakest), (*colour, strength)]),
        norm=(LogNorm if high > 20 * low else Normalize)(low if high > low else 0, high),
        extent=(west, west + side * grid.shape[1], south, south + side * grid.shape[0]),
        origin="lower",
        interpolation="none",
        zorder=2,
    )
    axes.axis(limits)
    if has_key:
        _draw_key(axes, image, low, high, f"images in {side:g} m x {side:g} m")


def _draw_key(axes: Axes, image: AxesImage, low: int, high: int, label: str) -> None:
    """Draw the colour bar above the map, with its ends; a single number if all squares are equal."""
    inset = axes.inset_axes((0.55, 1.03, 0.45, 0.018))
    assert isinstance(axes.figure, Figure)
    bar = axes.figure.colorbar(image, cax=inset, orientation="horizontal", ticklocation="top")
    bar.set_ticks([], minor=True)
    ticks = {low: f"{low:,}", high: f"{high:,}"} if low < high else {high / 2: f"{high:,}"}
    bar.set_ticks(list(ticks), labels=list(ticks.values()))
    inset.set_frame_on(False)
    inset.tick_params(length=0, pad=1)
    inset.set_title(label, color=COLOUR["muted"], pad=3, loc="right")
