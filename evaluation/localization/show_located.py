"""Show localized photos as text, JSON or GeoJSON."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from data_manifest.inspect.bars import table
from evaluation.localization.located import Located, Match

CHANGED = "changed since it was embedded"
TITLES = ("", "score", "metres", "latitude", "longitude", "heading", "year", "image")
SHORTENED = "..."
ZOOM = 18  # of the map: a few streets
MIN_NAME = 12  # characters of an image's name, however narrow the terminal


def show(located: Sequence[Located], form: str, width: int | None = None) -> str:
    """Return localized photos as a table, json or geojson; the table's names are cut to the width, if given."""
    if form == "json":
        return json.dumps([dataclasses.asdict(each) for each in located], indent=2)
    if form == "geojson":
        features = [feature for photo in located for feature in features_of(photo)]
        return json.dumps({"type": "FeatureCollection", "features": features}, indent=2)
    return "\n\n".join(_as_table(photo, width) for photo in located)


def terminal_width() -> int | None:
    """Return the columns of the terminal that standard output is; None for a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _as_table(photo: Located, width: int | None) -> str:
    if photo.error is not None:
        return f"{photo.photo}\n  {photo.error}"
    if photo.refused is not None:
        return f"{photo.photo}\n  {photo.refused}: {photo.certainty}"
    rows = [TITLES, *(_cells(match) for match in photo.matches)]
    if width is not None:
        others = len(table([[*row[:-1], "|"] for row in rows])[0]) - 1
        rows = [(*row[:-1], _cut(row[-1], max(MIN_NAME, width - others))) for row in rows]
    lines = [photo.photo, *table(rows, left=range(len(TITLES)))]
    lines += [f"  {each}" for each in (spread(photo), photo.certainty) if each]
    return "\n".join([*lines, *(f"  {link}" for link in map_links(photo.matches[0]))])


def _cut(name: str, length: int) -> str:
    """Return a name with its middle left out if it is longer than a number of characters."""
    if len(name) <= length:
        return name
    kept = length - len(SHORTENED)
    return name[: kept // 2] + SHORTENED + name[len(name) - (kept - kept // 2) :]


def map_links(match: Match) -> list[str]:
    """Return the place of a match as a geo URI and as an address of OpenStreetMap; empty if it is unknown."""
    if match.latitude is None or match.longitude is None:
        return []
    latitude, longitude = f"{match.latitude:.6f}", f"{match.longitude:.6f}"
    osm = f"https://www.openstreetmap.org/?mlat={latitude}&mlon={longitude}#map={ZOOM}/{latitude}/{longitude}"
    return [f"geo:{latitude},{longitude}", osm]


def _cells(match: Match) -> tuple[str, ...]:
    metres = "" if match.distance_m is None else f"{match.distance_m:,.0f}"
    degrees = ("" if value is None else f"{value:.6f}" for value in (match.latitude, match.longitude))
    heading = "" if match.heading is None else f"{match.heading:.0f}"
    year = "" if match.year is None else str(match.year)
    path = f"{match.path} ({CHANGED})" if match.changed else match.path
    return (str(match.rank), f"{match.score:.3f}", metres, *degrees, heading, year, path)


def spread(photo: Located) -> str:
    """Return the distance between the matches in words; empty for a single match."""
    count = len(photo.matches)
    if count == 1:
        return ""
    if photo.spread_m is None:
        return f"the best {count} are in different UTM zones: probably incorrect"
    return f"the best {count} are within {photo.spread_m:,.0f} m of each other"


def features_of(photo: Located) -> list[dict[str, Any]]:
    """Return a GeoJSON feature per match, or one without a point for a refused photo."""
    certainty = photo.certainty and dataclasses.asdict(photo.certainty)
    facts = {"photo": photo.photo, "spread_m": photo.spread_m, "certainty": certainty, "refused": photo.refused}
    if photo.refused is not None:
        return [{"type": "Feature", "geometry": None, "properties": facts}]
    return [
        {"type": "Feature", "geometry": _point(match), "properties": {**facts, **dataclasses.asdict(match)}}
        for match in photo.matches
    ]


def _point(match: Match) -> dict[str, Any] | None:
    """Return the place of a match for GeoJSON; None if it is unknown."""
    if match.latitude is None or match.longitude is None:
        return None
    return {"type": "Point", "coordinates": [match.longitude, match.latitude]}
