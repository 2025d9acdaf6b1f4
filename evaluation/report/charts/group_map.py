"""The map of the paper's figure 2: a few cells with an arrow per class, coloured by group."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from evaluation.report.charts.grouping import FULL_TURN, Grouping
from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import COLOUR, WIDTH, draw_measure, new_chart

SMALL_MAP, LARGE_MAP = 8, 12  # cells per side, so that groups repeat at least twice up to N = 5
COLOURED_WEIGHT = 5  # of a class of a coloured group in the choice of the window; 1 for others
FRAME = ("utm_zone", "hemisphere")
CELL = ("cell_east", "cell_north")
DISC_RADIUS = 0.2  # in cells; a disc replaces the arrow if there is only one heading bin
# Corners of an arrow to the north, in cells: left side of the shaft, head, right side of the shaft.
ARROW = np.array([(-0.025, 0.08), (-0.025, 0.3), (-0.08, 0.3), (0, 0.46), (0.08, 0.3), (0.025, 0.3), (0.025, 0.08)])


@dataclass(frozen=True)
class Window:
    """A square of cells in one UTM zone."""

    zone: int | None
    hemisphere: str | None
    west: int
    south: int
    cells: int


def plot_group_map(classes: pl.LazyFrame, grouping: Grouping) -> Plot:
    """Return the map of the densest square of cells."""
    cells = SMALL_MAP if 2 * grouping.N + 2 <= SMALL_MAP else LARGE_MAP
    window = densest_window(classes, cells, grouping.coloured)
    shown = classes_in(classes, window)
    figure, axes = new_chart(WIDTH, 4.4)
    axes.set_aspect("equal")
    axes.set(xlim=(0, cells), ylim=(0, cells))
    axes.set_xticks(range(cells + 1), labels=[])
    axes.set_yticks(range(cells + 1), labels=[])
    axes.tick_params(length=0)
    axes.grid(visible=True, axis="both")
    axes.spines[:].set_visible(False)
    _tint_cells(axes, shown, window, grouping)
    for group in sorted(set(shown["group_index"]), key=lambda group: (group in grouping.coloured, group)):
        arrows = _arrows(shown.filter(pl.col("group_index") == group), window, grouping.alpha)
        strength, layer = (1.0, 4) if group in grouping.coloured else (0.8, 3)
        colour = grouping.colour(group)
        axes.add_patch(PathPatch(arrows, facecolor=colour, linewidth=0, alpha=strength, zorder=layer))
    _draw_measures(axes, shown, window, grouping)
    _draw_legend(axes, grouping, set(shown["group_index"]))
    coloured = shown.filter(pl.col("group_index").is_in(grouping.coloured))["group_index"]
    alt = (
        f"Map of {cells} by {cells} cells of {grouping.M:g} metres with {len(shown)} classes. Each is an arrow in the "
        f"direction of its heading bin. {len(coloured)} of them, in the colours of groups "
        f"{', '.join(map(str, sorted(set(coloured))))}, repeat every {grouping.N} cells and every {grouping.L} bins."
    )
    note = "Each arrow is a class: a cell and a heading bin. Arrows of one colour are the classes of one group."
    return Plot("group_map", "Classes and groups on the map", alt, figure, shown, note)


def densest_window(classes: pl.LazyFrame, cells: int, coloured: Sequence[int]) -> Window:
    """Return the square with the most classes, weighted by colour, of those on a grid of a quarter of its side."""
    quarter = cells // 4
    weight = pl.when(pl.col("group_index").is_in(coloured)).then(COLOURED_WEIGHT).otherwise(1).sum()
    blocks = classes.group_by(*FRAME, *(pl.col(name) // quarter for name in CELL)).agg(weight=weight)
    counted = blocks.collect(engine="streaming")
    # A block of a quarter's side is part of 16 squares.
    shifted = [
        counted.with_columns(pl.col(CELL[0]) - east, pl.col(CELL[1]) - north) for east in range(4) for north in range(4)
    ]
    squares = pl.concat(shifted).group_by(*FRAME, *CELL).agg(pl.col("weight").sum())
    best = squares.filter(pl.col("weight") == pl.col("weight").max()).sort(*FRAME, *CELL)
    for column in (*FRAME, *CELL):  # of equally good squares the middle one, so that its classes are not at an edge
        middle = best[column][len(best) // 2]
        best = best.filter(pl.col(column).eq_missing(pl.lit(middle, best.schema[column])))
    zone, hemisphere, east, north = best.select(*FRAME, *CELL).row(0)
    return Window(zone, hemisphere, east * quarter, north * quarter, cells)


def classes_in(classes: pl.LazyFrame, window: Window) -> pl.DataFrame:
    """Return the classes of a window, sorted by group and class."""
    east, north = pl.col("cell_east") - window.west, pl.col("cell_north") - window.south
    inside = classes.filter(
        pl.col("utm_zone").eq_missing(window.zone),
        pl.col("hemisphere").eq_missing(pl.lit(window.hemisphere, pl.String)),
        *(offset.is_between(0, window.cells, closed="left") for offset in (east, north)),
    )
    return inside.sort("group_index", "class_index").collect(engine="streaming")


def _arrows(rows: pl.DataFrame, window: Window, alpha: float) -> Path:
    """Return one path with an arrow from the centre of each class's cell into its heading bin."""
    centres = rows.select(*CELL).to_numpy() - (window.west, window.south) + 0.5
    if alpha >= FULL_TURN:  # one bin of all headings has no direction
        return Path.make_compound_path(*(Path.circle(tuple(centre), DISC_RADIUS) for centre in centres))
    bins = rows["heading_bin"].to_numpy()
    ends = np.minimum((bins + 1) * alpha, FULL_TURN)  # the last bin is narrower if alpha does not divide 360
    angles = np.radians((bins * alpha + ends) / 2)[:, None]
    east = ARROW[:, 0] * np.cos(angles) + ARROW[:, 1] * np.sin(angles)
    north = ARROW[:, 1] * np.cos(angles) - ARROW[:, 0] * np.sin(angles)
    corners = np.stack([east, north], axis=2) + centres[:, None]
    closed: npt.NDArray[np.float64] = np.concatenate([corners, corners[:, :1]], axis=1)
    codes = [Path.MOVETO, *[Path.LINETO] * (len(ARROW) - 1), Path.CLOSEPOLY]
    return Path(closed.reshape(-1, 2), np.tile(codes, len(rows)))


def _tint_cells(axes: Axes, shown: pl.DataFrame, window: Window, grouping: Grouping) -> None:
    """Fill the cells of each coloured group lightly; a cell gets the colour of the first of its groups."""
    tinted: set[tuple[int, ...]] = set()
    for group in grouping.coloured:
        cells = set(shown.filter(pl.col("group_index") == group).select(*CELL).iter_rows()) - tinted
        tinted |= cells
        squares = [Rectangle((east - window.west, north - window.south), 1, 1) for east, north in sorted(cells)]
        colour = grouping.colour(group)
        axes.add_collection(PatchCollection(squares, facecolor=colour, alpha=0.13, linewidth=0, zorder=1))


def _draw_measures(axes: Axes, shown: pl.DataFrame, window: Window, grouping: Grouping) -> None:
    """Draw M and N * M above the map, from the first column of the first coloured group."""
    columns = shown.filter(pl.col("group_index") == grouping.coloured[0])["cell_east"]
    first = int(columns.min()) - window.west if len(columns) else 0  # type: ignore[arg-type]
    draw_measure(axes, first, 1, f"M = {grouping.M:g} m", 1.025)
    if 1 < grouping.N <= window.cells:
        first = min(first, window.cells - grouping.N)
        draw_measure(axes, first, grouping.N, f"N · M = {grouping.N * grouping.M:g} m", 1.075)


def _draw_legend(axes: Axes, grouping: Grouping, shown: Collection[int]) -> None:
    entries = [(grouping.colour(group), f"{group}") for group in grouping.coloured if group in shown]
    if not set(shown) <= set(grouping.coloured):
        entries.append((COLOUR["unknown"], "others"))
    arrow: dict[str, Any] = {"marker": r"$\uparrow$", "markersize": 8, "linewidth": 0}
    handles = [Line2D([], [], color=colour, label=label, **arrow) for colour, label in entries]
    below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "columnspacing": 0.9}
    axes.legend(handles=handles, title="group", ncols=min(len(handles), 5), handletextpad=0.1, **below)
