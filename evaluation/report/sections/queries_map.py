"""The map of the queries: one disc per place, divided by outcome, each a link to its worst query."""

from collections.abc import Mapping

import numpy as np
import polars as pl
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
LABELS = {
    CORRECT: "correct at the first match",
    UNANSWERABLE: "no positive in the database",
    INCORRECT: "incorrect",
}
ROLES = {CORRECT: "correct", UNANSWERABLE: "unknown", INCORRECT: "incorrect"}


def locate_queries(result: SetResult) -> pl.DataFrame:
    """Return the outcomes on the map with the index of their `place`: queries that are too near to separate.

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
    side = square_side(extent)
    figure, axes = new_map(extent)
    draw_density(axes, count_squares(database, extent, side), side, "unknown", strength=0.45, has_key=False)
    wedges: dict[str, list[Patch]] = {state: [] for state in LABELS}
    urls: dict[str, list[str]] = {state: [] for state in LABELS}
    order = {path: number for number, path in enumerate(anchors)}
    for (_,), rows in located.group_by("place", maintain_order=True):
        counts, start = count_states(rows), 0.0
        shown = sorted((path for path in rows["query_path"] if path in order), key=order.__getitem__)
        label = f"{counts[CORRECT]} of {format_plural(len(rows), 'query', 'queries')} correct"
        centre = (rows["utm_east"].to_numpy().mean(), rows["utm_north"].to_numpy().mean())
        radius = extent.side * np.clip(MIN_RADIUS * np.sqrt(len(rows)), MIN_RADIUS, MAX_RADIUS)
        for state in LABELS:
            if share := FULL_TURN * counts[state] / len(rows):
                end = NORTH - start
                wedge = Wedge(centre, radius, end - share, end) if share < FULL_TURN else Circle(centre, radius)
                wedges[state].append(wedge)
                urls[state].append(mark_url(anchors[shown[0]], label) if shown else "")
                start += share
    for state, patches in wedges.items():
        drawn = PatchCollection(patches, facecolor=COLOUR[ROLES[state]], edgecolor=COLOUR["panel"], linewidth=0.7)
        drawn.set(zorder=4, urls=[url or None for url in urls[state]])
        axes.add_collection(drawn)
    counts = count_states(result.outcomes)
    handles = [
        Line2D([], [], marker="o", linewidth=0, markersize=8, color=COLOUR[ROLES[state]], label=f"{label}: {count:,}")
        for state, label in LABELS.items()
        if (count := counts[state])
    ]
    figure.legend(handles=handles, loc="outside lower center")
    places = located["place"].n_unique()
    notes = ["Each disc is a place, divided by the outcomes of its queries. Click it to see them."]
    notes.append("Grey squares are database images.")
    if elsewhere := len(result.outcomes) - len(located):
        notes.append(f"{format_plural(elsewhere, 'query is', 'queries are')} in another UTM zone.")
    alt = f"Map of the queries at {places:,} places: "
    alt += ", ".join(f"{count:,} {LABELS[state]}" for state, count in counts.items()) + "."
    data = located.select("query_path", "utm_east", "utm_north", "heading", "state", "place")
    return Plot("queries_map", "Where queries fail", alt, figure, data, " ".join(notes), centre=extent.centre)
