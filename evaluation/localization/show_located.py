"""Where photos were taken, as text, JSON or GeoJSON."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from data_manifest.inspect.bars import table
from evaluation.localization.localize import Located, Match

CHANGED = "changed since it was embedded"
TITLES = ("", "score", "latitude", "longitude", "heading", "year", "image")


def show(located: Sequence[Located], form: str) -> str:
    """Return what was found, as a table, json or geojson."""
    if form == "json":
        return json.dumps([dataclasses.asdict(each) for each in located], indent=2)
    return json.dumps(as_geojson(located), indent=2) if form == "geojson" else "\n\n".join(map(as_table, located))


def as_table(photo: Located) -> str:
    """Return a photo's matches as aligned lines, with how far they lie apart."""
    if photo.error is not None:
        return f"{photo.photo}\n  {photo.error}"
    lines = [TITLES, *(_cells(match) for match in photo.matches)]
    return "\n".join([photo.photo, *table(lines, left=range(len(TITLES))), f"  {spread(photo)}"])


def spread(photo: Located) -> str:
    """Return in words how far the matches lie apart."""
    count = len(photo.matches)
    if count == 1:
        return "one match alone says nothing of how certain it is"
    if photo.spread_m is None:
        return f"the best {count} lie in different UTM zones: they hardly agree"
    return f"the best {count} lie within {photo.spread_m:,.0f} m of each other"


def as_geojson(located: Sequence[Located]) -> dict[str, Any]:
    """Return the matches as points for any map, each with its photo's name; those without a latitude have no point."""
    features = [_feature(photo, match) for photo in located for match in photo.matches]
    return {"type": "FeatureCollection", "features": features}


def _feature(photo: Located, match: Match) -> dict[str, Any]:
    properties = {"photo": photo.photo, **dataclasses.asdict(match), "spread_m": photo.spread_m}
    place = None
    if match.latitude is not None and match.longitude is not None:
        place = {"type": "Point", "coordinates": [match.longitude, match.latitude]}
    return {"type": "Feature", "geometry": place, "properties": properties}


def _cells(match: Match) -> tuple[str, ...]:
    degrees = ("" if value is None else f"{value:.6f}" for value in (match.latitude, match.longitude))
    heading = "" if match.heading is None else f"{match.heading:.0f}"
    year = "" if match.year is None else str(match.year)
    path = f"{match.path} ({CHANGED})" if match.changed else match.path
    return (str(match.rank), f"{match.score:.3f}", *degrees, heading, year, path)
