"""Answers as JSON and GeoJSON, with the numbers of database images instead of their paths."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from data_manifest.hemisphere import hemisphere
from evaluation.localization.located import Located
from evaluation.localization.show_located import features_of

IMAGES, RESULTS, LINKS = "api/images", "api/results", "result"  # addresses, relative to that of the page
EARTH_M = 6_371_009.0  # mean radius; distances are within 0.6 % of those on the ellipsoid
Place = tuple[float, float]  # latitude and longitude in degrees


@dataclass(frozen=True)
class Found:
    """A localized photo, with the position in its EXIF and a small copy."""

    located: Located
    exif_position: Place | None = None
    picture: bytes | None = None  # reduced, as WebP; only if the result is kept


def as_json(found: Sequence[Found], images: pl.DataFrame, digest: str) -> dict[str, Any]:
    """Return photos with their matches in the images of the database with a digest."""
    photos = []
    for each in found:
        facts = dataclasses.asdict(each.located)
        matches = [_numbered(match, images, digest) for match in facts["matches"]]
        photos.append({**facts, "matches": matches, "exif_position": _exif_position(each)})
    return {"photos": photos}


def as_geojson(found: Sequence[Found], images: pl.DataFrame, digest: str) -> dict[str, Any]:
    """Return one feature per match, as `cosplace localize` does, and the errors of photos."""
    located = [each.located for each in found]
    features = [feature for photo in located for feature in features_of(photo)]
    for feature in features:
        if "row" in feature["properties"]:  # missing for a refused photo
            feature["properties"] = _numbered(feature["properties"], images, digest)
    errors = [{"photo": photo.photo, "error": photo.error} for photo in located if photo.error]
    return {"type": "FeatureCollection", "features": features, "errors": errors}


def zone_name(zone: int | None, half: str | None) -> str:
    """Return the name of a UTM zone, such as 10N; empty if unknown."""
    return f"{zone or ''}{half or ''}"


def _exif_position(found: Found) -> dict[str, float | None] | None:
    """Return the position in a photo's EXIF, with its distance from the best match."""
    if found.exif_position is None:
        return None
    best = next(iter(found.located.matches), None)
    metres = None
    if best is not None and best.latitude is not None and best.longitude is not None:
        metres = _metres_between(found.exif_position, (best.latitude, best.longitude))
    latitude, longitude = found.exif_position
    return {"latitude": latitude, "longitude": longitude, "distance_m": metres}


def _metres_between(first: Place, second: Place) -> float:
    """Return the great-circle distance of two places, by the haversine formula."""
    (latitude, longitude), (other_latitude, other_longitude) = (map(math.radians, place) for place in (first, second))
    half_chord = (
        math.sin((latitude - other_latitude) / 2) ** 2
        + math.cos(latitude) * math.cos(other_latitude) * math.sin((longitude - other_longitude) / 2) ** 2
    )
    return 2 * EARTH_M * math.asin(math.sqrt(min(1.0, half_chord)))


def _numbered(match: dict[str, Any], images: pl.DataFrame, digest: str) -> dict[str, Any]:
    """Return a match with its UTM zone, and with the number and the address of its image instead of the path."""
    row = match["row"]
    zone = images[row].select("utm_zone", hemisphere()).row(0)
    others = {name: value for name, value in match.items() if name not in ("row", "path")}
    return {**others, "image": row, "picture": f"{IMAGES}/{digest}/{row}", "zone": zone_name(*zone)}
