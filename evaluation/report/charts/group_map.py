"""The map of the paper's figure 2: a few cells, in each an arrow for every class, coloured by its group."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.transforms import blended_transform_factory

from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import COLOUR, new_chart
from evaluation.report.sections.grouping import Grouping

FULL_TURN = 360
SMALL, LARGE = 8, 12  # cells along a side of the map: so that groups repeat on it at least twice, up to N = 5
COLOURED_WEIGHT = 5  # a class of a coloured group counts for so many others where to look is chosen
FRAME = ("utm_zone", "hemisphere")
CELL = ["cell_east", "cell_north"]
RADIUS = 0.2  # in cells, of the disc that stands for an arrow where there is one heading bin
# An arrow to the north, in cells, as long as half of one less a margin: shaft, head, shaft.
ARROW = np.array([(-0.025, 0.08), (-0.025, 0.3), (-0.08, 0.3), (0, 0.46), (0.08, 0.3), (0.025, 0.3), (0.025, 0.08)])


@dataclass(frozen=True)
class Window:
    """A square of cells of one UTM zone."""

    zone: int | None
    hemisphere: str | None
    west: int
    south: int
    cells: int


def plot_group_map(classes: pl.LazyFrame, grouping: Grouping) -> Plot:
    """Return the map of the cells where classes are densest."""
    window = densest_window(classes, SMALL if 2 * grouping.N + 2 <= SMALL else LARGE, grouping.coloured)
    shown = classes_in(classes, window)
    figure, axes = new_chart(4.4, 4.8)
    axes.set_aspect("equal")
    axes.set(xlim=(0, window.cells), ylim=(0, window.cells))
    axes.set_xticks(range(window.cells + 1), labels=[])
    axes.set_yticks(range(window.cells + 1), labels=[])
    axes.tick_params(length=0)
    axes.grid(visible=True, axis="both")
    for spine in axes.spines.values():
        spine.set_visible(False)
    _tint_cells(axes, shown, window, grouping)
    for group in sorted(shown["group_index"].unique().to_list(), key=lambda each: each in grouping.coloured):
        rows = shown.filter(pl.col("group_index") == group)
        is_coloured = group in grouping.coloured
        axes.add_patch(
            PathPatch(
                _arrows(rows, window, grouping.alpha),
                facecolor=grouping.colour(group),
                linewidth=0,
                alpha=1.0 if is_coloured else 0.6,
                zorder=4 if is_coloured else 3,
            )
        )
    _draw_measures(axes, shown, window, grouping)
    _draw_legend(axes, grouping, set(shown["group_index"]))
    coloured = shown.filter(pl.col("group_index").is_in(grouping.coloured))
    alt = (
        f"Map of {window.cells} by {window.cells} cells of {grouping.M:g} metres with {len(shown)} classes, each an "
        f"arrow in the direction of its heading bin; {len(coloured)} of them, in the colours of groups "
        f"{', '.join(map(str, sorted(set(coloured['group_index']))))}, repeat every {grouping.N} cells and every "
        f"{grouping.L} bins."
    )
    note = "Each arrow is a class: a cell, and a bin of headings. Arrows of one colour are the classes of one group."
    return Plot("group_map", "Classes and groups on the map", alt, figure, shown, note)


def densest_window(classes: pl.LazyFrame, cells: int, coloured: Sequence[int]) -> Window:
    """Return the square with most classes, above all coloured ones, of those at multiples of a quarter of its side."""
    quarter = cells // 4
    weight = pl.when(pl.col("group_index").is_in(coloured)).then(COLOURED_WEIGHT).otherwise(1).sum()
    blocks = classes.group_by(*FRAME, *(pl.col(name) // quarter for name in CELL)).agg(weight=weight)
    counted = blocks.collect(engine="streaming")
    # A block of a quarter's side counts for each of the 16 squares that it is a part of.
    shifts = [(east, north) for east in range(4) for north in range(4)]
    shifted = [counted.with_columns(pl.col(CELL[0]) - east, pl.col(CELL[1]) - north) for east, north in shifts]
    keys = (*FRAME, *CELL)
    squares = pl.concat(shifted).group_by(keys).agg(pl.col("weight").sum())
    best = squares.filter(pl.col("weight") == pl.col("weight").max()).sort(keys)
    for column in (*FRAME, *CELL):  # of equally good ones the middle one, so that what they have is not at an edge
        middle = best[column][len(best) // 2]
        best = best.filter(pl.col(column).eq_missing(pl.lit(middle, best.schema[column])))
    zone, hemisphere, east, north = best.select(keys).row(0)
    return Window(zone, hemisphere, east * quarter, north * quarter, cells)


def classes_in(classes: pl.LazyFrame, window: Window) -> pl.DataFrame:
    """Return the classes of a window."""
    in_frame = pl.col("utm_zone").eq_missing(window.zone) & pl.col("hemisphere").eq_missing(
        pl.lit(window.hemisphere, pl.String)
    )
    east = pl.col("cell_east").is_between(window.west, window.west + window.cells, closed="left")
    north = pl.col("cell_north").is_between(window.south, window.south + window.cells, closed="left")
    keys = ("group_index", "class_index")
    return classes.filter(in_frame, east, north).sort(keys).collect(engine="streaming")


def _arrows(rows: pl.DataFrame, window: Window, alpha: float) -> Path:
    """Return an arrow from the middle of each class's cell into its heading bin, all in one path."""
    centres = np.stack(
        [rows["cell_east"].to_numpy() - window.west + 0.5, rows["cell_north"].to_numpy() - window.south + 0.5], axis=1
    )
    if alpha >= FULL_TURN:  # a class of all headings looks nowhere
        return Path.make_compound_path(*(Path.circle(tuple(centre), RADIUS) for centre in centres))
    bins = rows["heading_bin"].to_numpy()
    ends = np.minimum((bins + 1) * alpha, FULL_TURN)  # the last bin is narrower where alpha does not divide 360
    angles = np.radians((bins * alpha + ends) / 2)
    east = ARROW[:, 0] * np.cos(angles)[:, None] + ARROW[:, 1] * np.sin(angles)[:, None]
    north = ARROW[:, 1] * np.cos(angles)[:, None] - ARROW[:, 0] * np.sin(angles)[:, None]
    corners = np.stack([east, north], axis=2) + centres[:, None]
    closed: npt.NDArray[np.float64] = np.concatenate([corners, corners[:, :1]], axis=1)
    codes = [Path.MOVETO, *[Path.LINETO] * (len(ARROW) - 1), Path.CLOSEPOLY]
    return Path(closed.reshape(-1, 2), np.tile(codes, len(rows)))


def _tint_cells(axes: Axes, shown: pl.DataFrame, window: Window, grouping: Grouping) -> None:
    """Fill the cells of each coloured group's place, lightly."""
    taken = shown.clear().select(CELL)
    for group in grouping.coloured:  # a cell has the colour of one of its groups alone
        cells = (
            shown.filter(pl.col("group_index") == group)
            .select(CELL)
            .unique()
            .sort(CELL)
            .join(taken, on=CELL, how="anti")
        )
        taken = taken.vstack(cells)
        squares = [Rectangle((east - window.west, north - window.south), 1, 1) for east, north in cells.iter_rows()]
        axes.add_collection(
            PatchCollection(squares, facecolor=grouping.colour(group), alpha=0.13, linewidth=0, zorder=1)
        )


def _draw_measures(axes: Axes, shown: pl.DataFrame, window: Window, grouping: Grouping) -> None:
    """Draw M and N * M above the map, from the first column of the first coloured group."""
    columns = shown.filter(pl.col("group_index") == grouping.coloured[0])["cell_east"].unique().sort() - window.west
    first = int(columns[0]) if len(columns) else 0
    _draw_measure(axes, first, 1, f"M = {grouping.M:g} m", 1.025)
    if 1 < grouping.N <= window.cells:
        first = min(first, window.cells - grouping.N)
        _draw_measure(axes, first, grouping.N, f"N · M = {grouping.N * grouping.M:g} m", 1.075)


def _draw_measure(axes: Axes, start: float, length: float, label: str, height: float) -> None:
    place = blended_transform_factory(axes.transData, axes.transAxes)
    ends = ([start, start + length], [height, height])
    axes.plot(*ends, transform=place, color=COLOUR["ink"], marker="|", markersize=6, linewidth=1, clip_on=False)
    right = start + length < 0.7 * axes.get_xlim()[1]
    x = start + length + 0.15 if right else start - 0.15
    axes.text(x, height, label, transform=place, va="center", ha="left" if right else "right", fontsize=8)


def _draw_legend(axes: Axes, grouping: Grouping, shown: Collection[int]) -> None:
    handles = [
        Line2D([], [], color=grouping.colour(group), marker=r"$\uparrow$", markersize=8, linewidth=0, label=f"{group}")
        for group in grouping.coloured
        if group in shown
    ]
    if not set(shown) <= set(grouping.coloured):
        handles.append(
            Line2D([], [], color=COLOUR["unknown"], marker=r"$\uparrow$", linewidth=0, markersize=8, label="others")
        )
    columns = min(len(handles), 5)
    axes.legend(
        handles=handles,
        title="group",
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=columns,
        columnspacing=0.9,
        handletextpad=0.1,
    )
