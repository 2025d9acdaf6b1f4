"""The map of the queries: one disc per place, divided by outcome, each a link to its worst query."""

import math
from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, Wedge

from data_manifest.tables import scan_table
from evaluation.report.charts.maps import Extent, count_squares, draw_density, in_frame, new_map, square_side
from evaluation.report.charts.plot import Plot, mark_url
from evaluation.report.charts.style import COLOUR
from evaluation.report.format_values import format_plural
from evaluation.report.sections.query_outcomes import CORRECT, INCORRECT, UNANSWERABLE, SetResult, count_states
from evaluation.settings import FRAMES

PLACE_RADIUS, MIN_RADIUS, MAX_RADIUS = 1 / 20, 1 / 80, 1 / 40  # as fractions of the map's side
FULL_TURN, NORTH = 360, 90  # degrees
STATES_ON_MAP = {  # label and colour role of each, clockwise from north
    CORRECT: ("correct at the first match", "correct"),
    UNANSWERABLE: ("no positive in the database", "unknown"),
    INCORRECT: ("incorrect", "incorrect"),
}


def locate_queries(result: SetResult) -> pl.DataFrame:
    """Return the outcomes on the map with `place`, the index of the cluster of queries that share a disc.

    The table is empty if images have numbers and no coordinates.
    """
    if result.test_set.unit == FRAMES:
        return result.outcomes.clear().with_columns(place=pl.lit(0))
    extent = Extent.of(result.outcomes.lazy())
    located = in_frame(result.outcomes.lazy(), extent.zone, extent.hemisphere).collect()
    positions = located.select("utm_east", "utm_north").to_numpy()
    places = np.full(len(positions), -1, np.int64)
    while (left := np.flatnonzero(places < 0)).size:
        near = np.hypot(*(positions[left] - positions[left[0]]).T) < PLACE_RADIUS * extent.side
        places[left[near]] = places.max() + 1
    return located.with_columns(place=pl.Series(places))


def plot_queries(result: SetResult, located: pl.DataFrame, anchors: Mapping[str, str]) -> Plot | None:
    """Return the map of the queries over the database, or None if there are no coordinates.

    Args:
        result: The evaluation.
        located: Its outcomes from `locate_queries`.
        anchors: The id in the page of each query shown with pictures, worst first.
    """
    if located.is_empty():
        return None
    database = scan_table(result.test_set.database.manifest.folder, "manifest")
    extent = Extent.of(located.lazy())
    side = square_side(extent.side)
    figure, axes = new_map(extent)
    draw_density(axes, count_squares(database, extent, side), side, "unknown", strength=0.45, has_key=False)
    _draw_places(axes, located, anchors, extent.side)
    counts = count_states(result.outcomes)
    shown = [(f"{label}: {counts[state]:,}", role) for state, (label, role) in STATES_ON_MAP.items() if counts[state]]
    discs = [Line2D([], [], color=COLOUR[role], label=label, marker="o", linewidth=0) for label, role in shown]
    figure.legend(handles=discs, loc="outside lower center", markerscale=1.4)
    places = located["place"].n_unique()
    notes = ["Each disc is a place, divided by the outcomes of its queries. Click it to see their pictures."]
    notes.append("Grey squares are database images.")
    if elsewhere := len(result.outcomes) - len(located):
        notes.append(f"{format_plural(elsewhere, 'query is', 'queries are')} in another UTM zone.")
    alt = f"Map of the queries at {places:,} places: {', '.join(label for label, _ in shown)}."
    data = located.select("query_path", "utm_east", "utm_north", "heading", "state", "place")
    return Plot("queries_map", "Map of the queries", alt, figure, data, " ".join(notes), centre=extent.centre)


def _draw_places(axes: Axes, located: pl.DataFrame, anchors: Mapping[str, str], side: float) -> None:
    """Draw a disc per place, divided by outcome, that links to the worst query shown with pictures."""
    order = {path: number for number, path in enumerate(anchors)}
    parts: list[tuple[Patch, str, str | None]] = []
    for _, rows in located.group_by("place", maintain_order=True):
        counts, end = count_states(rows), float(NORTH)
        shown = sorted((path for path in rows["query_path"] if path in order), key=order.__getitem__)
        label = f"{counts[CORRECT]} of {format_plural(len(rows), 'query', 'queries')} correct"
        label += f", {len(shown)} with pictures" if len(shown) < len(rows) else ""
        east, north = rows.select("utm_east", "utm_north").mean().row(0)
        radius = side * min(MIN_RADIUS * math.sqrt(len(rows)), MAX_RADIUS)
        for state, (_, role) in STATES_ON_MAP.items():
            if angle := FULL_TURN * counts[state] / len(rows):
                url = mark_url(anchors[shown[0]], label, end == NORTH) if shown else None
                whole = angle == FULL_TURN
                part = Circle((east, north), radius) if whole else Wedge((east, north), radius, end - angle, end)
                parts.append((part, COLOUR[role], url))
                end -= angle
    patches, colours, urls = zip(*parts, strict=True)
    drawn = PatchCollection(patches, facecolors=colours, edgecolor=COLOUR["panel"], linewidth=0.7, zorder=4)
    drawn.set_urls(urls)
    axes.add_collection(drawn)
