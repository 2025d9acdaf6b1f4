"""Show localized photos as text, JSON or GeoJSON."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from data_manifest.inspect.bars import table
from evaluation.localization.localize import Located, Match

CHANGED = "changed since it was embedded"
TITLES = ("", "score", "latitude", "longitude", "heading", "year", "image")


def show(located: Sequence[Located], form: str) -> str:
    """Return localized photos as a table, json or geojson."""
    if form == "json":
        return json.dumps([dataclasses.asdict(each) for each in located], indent=2)
    if form == "geojson":
        features = [_feature(photo, match) for photo in located for match in photo.matches]
        return json.dumps({"type": "FeatureCollection", "features": features}, indent=2)
    return "\n\n".join(map(_as_table, located))


def _as_table(photo: Located) -> str:
    if photo.error is not None:
        return f"{photo.photo}\n  {photo.error}"
    lines = [TITLES, *(_cells(match) for match in photo.matches)]
    return "\n".join([photo.photo, *table(lines, left=range(len(TITLES))), f"  {spread(photo)}"])


def _cells(match: Match) -> tuple[str, ...]:
    degrees = ("" if value is None else f"{value:.6f}" for value in (match.latitude, match.longitude))
    heading = "" if match.heading is None else f"{match.heading:.0f}"
    year = "" if match.year is None else str(match.year)
    path = f"{match.path} ({CHANGED})" if match.changed else match.path
    return (str(match.rank), f"{match.score:.3f}", *degrees, heading, year, path)


def spread(photo: Located) -> str:
    """Return the distance between the matches in words."""
    count = len(photo.matches)
    if count == 1:
        return "1 match: no distance between matches that would show how certain it is"
    if photo.spread_m is None:
        return f"the best {count} are in different UTM zones: probably incorrect"
    return f"the best {count} are within {photo.spread_m:,.0f} m of each other"


def _feature(photo: Located, match: Match) -> dict[str, Any]:
    """Return a GeoJSON feature, without a point if the latitude is unknown."""
    properties = {"photo": photo.photo, **dataclasses.asdict(match), "spread_m": photo.spread_m}
    point = None
    if match.latitude is not None and match.longitude is not None:
        point = {"type": "Point", "coordinates": [match.longitude, match.latitude]}
    return {"type": "Feature", "geometry": point, "properties": properties}
