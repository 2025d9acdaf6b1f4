"""Answers as JSON and GeoJSON: database images have numbers in them, not paths."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import polars as pl

from data_manifest.hemisphere import hemisphere
from evaluation.localization.located import Located
from evaluation.localization.show_located import features_of

IMAGES = "api/images"  # relative, so that it holds below the path of a proxy


def as_json(located: Sequence[Located], images: pl.DataFrame) -> dict[str, Any]:
    """Return photos with their matches; `images` are those of the database."""
    photos = []
    for photo in located:
        facts = dataclasses.asdict(photo)
        photos.append({**facts, "matches": [_numbered(match, images) for match in facts["matches"]]})
    return {"photos": photos}


def as_geojson(located: Sequence[Located], images: pl.DataFrame) -> dict[str, Any]:
    """Return a feature per match, as `cosplace localize` does, and the photos with errors."""
    features = [feature for photo in located for feature in features_of(photo)]
    for feature in features:
        if "row" in feature["properties"]:  # not of a refused photo
            feature["properties"] = _numbered(feature["properties"], images)
    errors = [{"photo": photo.photo, "error": photo.error} for photo in located if photo.error]
    return {"type": "FeatureCollection", "features": features, "errors": errors}


def zone_name(zone: int | None, half: str | None) -> str:
    """Return a UTM zone as in 10N; empty if unknown."""
    return f"{zone or ''}{half or ''}"


def _numbered(match: dict[str, Any], images: pl.DataFrame) -> dict[str, Any]:
    """Return the facts of a match with the address of its image in place of its path, and with its UTM zone."""
    row = match["row"]
    zone = images[row].select("utm_zone", hemisphere()).row(0)
    others = {name: value for name, value in match.items() if name not in ("row", "path")}
    return {**others, "image": row, "picture": f"{IMAGES}/{row}", "zone": zone_name(*zone)}
