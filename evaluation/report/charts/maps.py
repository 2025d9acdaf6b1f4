"""Maps in UTM metres, without tiles: the frame that most images lie in, a grid, a scale bar, and density in squares."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from data_manifest.hemisphere import hemisphere
from evaluation.report.charts.style import COLOUR, WIDTH, new_chart

FRAME = ("utm_zone", "hemisphere")
SQUARES = 110  # along the longer side of a map, at most
OUTLIERS = 0.001  # share of the images at each end of an axis that may lie outside of a map
MARGIN = 0.04
LEAST_SHAPE = 0.6  # of a map's shorter side to its longer one
ROUND = (1, 2, 5)
TICKS = 4  # along an axis as long as a chart is wide
METRES_PER_KM = 1000


@dataclass(frozen=True)
class Extent:
    """A part of a UTM zone, in metres."""

    zone: int | None
    hemisphere: str | None
    west: float
    south: float
    east: float
    north: float

    @property
    def name(self) -> str:
        """The zone as maps name it."""
        return f"UTM {self.zone or ''}{self.hemisphere or ''}".strip()

    @property
    def side(self) -> float:
        """The longer side, in metres."""
        return max(self.east - self.west, self.north - self.south)

    @classmethod
    def of(cls, images: pl.LazyFrame) -> Self:
        """Return where most images of a manifest lie: of the zone with most of them, but for a few far off."""
        zones = images.group_by("utm_zone", hemisphere()).len().collect(engine="streaming")
        zone, half, _ = zones.sort("len", *FRAME, descending=[True, False, False]).row(0)
        columns = [pl.col(f"utm_{axis}") for axis in ("east", "north")]
        low = [column.quantile(OUTLIERS, "lower") for column in columns]
        high = [column.quantile(1 - OUTLIERS, "higher").name.suffix("_most") for column in columns]
        west, south, east, north = in_frame(images, zone, half).select(*low, *high).collect(engine="streaming").row(0)
        side = max(east - west, north - south)
        margin = max(MARGIN * side, 5.0)
        # A street that runs north is shown with what lies beside it: no map is a mere strip.
        wider, higher = (max(0.0, LEAST_SHAPE * side - length) / 2 for length in (east - west, north - south))
        return cls(
            zone, half, west - wider - margin, south - higher - margin, east + wider + margin, north + higher + margin
        )

    def inside(self, images: pl.LazyFrame) -> pl.LazyFrame:
        """Return the images within it."""
        east = pl.col("utm_east").is_between(self.west, self.east)
        return in_frame(images, self.zone, self.hemisphere).filter(
            east & pl.col("utm_north").is_between(self.south, self.north)
        )


def in_frame(images: pl.LazyFrame, zone: int | None, half: str | None) -> pl.LazyFrame:
    """Return the images of a zone and hemisphere: of others, metres do not compare."""
    return images.filter(pl.col("utm_zone").eq_missing(zone), hemisphere().eq_missing(pl.lit(half, pl.String)))


def round_length(length: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20, ... that is at most a length."""
    power = 10.0 ** math.floor(math.log10(length))
    return max(step * power for step in ROUND if step * power <= length * (1 + 1e-9))


def square_side(extent: Extent) -> float:
    """Return the side of the squares in which images are counted: round, and at least a metre."""
    least = max(extent.side / SQUARES, 1.0)
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (*ROUND, 10) if step * power >= least * (1 - 1e-9))


def count_squares(images: pl.LazyFrame, extent: Extent, side: float) -> pl.DataFrame:
    """Return `east`, `north` (the south-west corner, metres) and `images` of each square that has some."""
    corner = [((pl.col(f"utm_{axis}") / side).floor() * side).alias(axis) for axis in ("east", "north")]
    counted = extent.inside(images).select(corner).group_by("east", "north").agg(images=pl.len())
    return counted.sort("east", "north").collect(engine="streaming")


def new_map(extent: Extent) -> tuple[Figure, Axes]:
    """Return a figure and axes of an extent, with a grid in kilometres and a scale bar."""
    shape = (extent.north - extent.south) / (extent.east - extent.west)
    figure, axes = new_chart(WIDTH, WIDTH * min(shape, 1.0) + 0.25)
    axes.set_aspect("equal")
    axes.set_xlim(extent.west, extent.east)
    axes.set_ylim(extent.south, extent.north)
    axes.grid(visible=True, axis="both")
    for axis, name, length in ((axes.xaxis, "east", 1.0), (axes.yaxis, "north", min(shape, 1.0))):
        axis.set_major_locator(MaxNLocator(max(2, round(TICKS * length)), steps=[1, 2, 5, 10]))
        axis.set_major_formatter(lambda value, _: f"{value / METRES_PER_KM:.10g}")
        axis.set_label_text(f"{name}, km ({extent.name})" if name == "east" else f"{name}, km")
    for label in axes.get_yticklabels():
        label.set(rotation=90, verticalalignment="center")
    _draw_scale_bar(axes, round_length(extent.side / 4))
    return figure, axes


def _draw_scale_bar(axes: Axes, length: float) -> None:
    text = f"{length / METRES_PER_KM:g} km" if length >= METRES_PER_KM else f"{length:g} m"
    bar = AnchoredSizeBar(
        axes.transData,
        *(length, text, "lower left"),
        label_top=True,
        frameon=False,
        pad=0,
        borderpad=0.4,
        color=COLOUR["ink"],
        bbox_to_anchor=(0, 1),  # above the map, where no image lies
        bbox_transform=axes.transAxes,
        fontproperties=FontProperties(size=8),
    )
    bar.size_bar.get_children()[0].set_linewidth(2.5)
    axes.add_artist(bar)


def draw_density(
    axes: Axes, squares: pl.DataFrame, side: float, unit: str = "images", role: str = "density", strength: float = 1.0
) -> None:
    """Draw squares the stronger, the more images they have: ink on the page, so that it suits light and dark."""
    if squares.is_empty():
        return
    corners = squares.select("east", "north").to_numpy()
    west, south = corners.min(axis=0)
    columns, rows = np.rint((corners - (west, south)) / side).astype(np.int64).T
    grid = np.full((rows.max() + 1, columns.max() + 1), np.nan)  # what has no images is left free
    grid[rows, columns] = squares["images"].to_numpy()
    least, most = int(np.nanmin(grid)), int(np.nanmax(grid))
    limits = axes.get_xlim(), axes.get_ylim()  # which the picture would change
    picture = axes.imshow(
        grid,
        cmap=_ink(role, strength, 0.4 * strength if least < most else strength),
        norm=(LogNorm if most > 20 * least else Normalize)(least if most > least else 0, most),
        extent=(west, west + side * grid.shape[1], south, south + side * grid.shape[0]),
        origin="lower",
        interpolation="none",
        zorder=2,
    )
    axes.set(xlim=limits[0], ylim=limits[1])
    _draw_key(axes, picture, least, most, f"{unit} in {side:g} m x {side:g} m")


def _draw_key(axes: Axes, picture: AxesImage, least: int, most: int, label: str) -> None:
    """Draw what the strength of the ink means, above the map at its right; of one strength alone, with one number."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    room = axes.inset_axes((0.55, 1.03, 0.45, 0.018))
    bar = figure.colorbar(picture, cax=room, orientation="horizontal", ticklocation="top")
    room.set_frame_on(False)
    room.minorticks_off()
    bar.set_ticks([], minor=True)
    places = (least, most) if least < most else (most / 2,)
    bar.set_ticks(places, labels=[f"{number:,}" for number in (least, most)[: len(places)]])
    room.tick_params(length=0, labelsize=8, pad=1)
    room.set_title(label, fontsize=8, color=COLOUR["muted"], pad=3)


def _ink(role: str, strongest: float, weakest: float) -> LinearSegmentedColormap:
    colour = to_rgb(COLOUR[role])
    return LinearSegmentedColormap.from_list("ink", [(*colour, weakest), (*colour, strongest)])
