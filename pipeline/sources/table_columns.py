"""Find the columns of a table by their names, or as the user maps them."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError

HEMISPHERE = "hemisphere"  # N or S: of the UTM position if there is one, else of the latitude
ALIASES = {
    "path": ("file", "filename", "file_name", "file_path", "filepath", "image", "image_path", "img", "img_path"),
    "latitude": ("lat", "gps_lat", "gps_latitude"),
    "longitude": ("lon", "lng", "long", "gps_lon", "gps_lng", "gps_longitude"),
    "latitude_ref": ("lat_ref", "gps_lat_ref", "gps_latitude_ref", "gpslatituderef", "lat_hemisphere", "n_s", "ns"),
    "longitude_ref": ("lon_ref", "gps_lon_ref", "gps_longitude_ref", "gpslongituderef", "lon_hemisphere", "e_w", "ew"),
    "utm_east": ("east", "easting"),
    "utm_north": ("north", "northing"),
    "utm_zone": ("zone", "utm_zone_number", "zone_number"),
    "utm_band": ("band", "utm_zone_letter", "zone_letter", HEMISPHERE),
    "heading": ("compass_angle", "ca", "bearing", "azimuth", "direction"),
    "timestamp": ("time", "date", "datetime", "captured_at", "capture_time", "date_time"),
    "pano_id": ("panorama_id", "panoid"),
    "tile_num": ("tile",),
    "sequence": ("sequence_id", "sequence_key", "seq", "track", "track_id"),
    "heading_reference": ("north_reference", "heading_ref"),
    "height": ("altitude", "elevation"),
    "pitch": (),
    "roll": (),
    "note": (),
}
MEANINGS = {name: meaning for meaning, aliases in ALIASES.items() for name in (meaning, *aliases)}
POSITIONS = (("latitude", "longitude"), ("utm_east", "utm_north"))
logger = logging.getLogger(__name__)


def normalize_columns(text: str) -> str:
    """Return a column mapping in its normal form, sorted by meaning; errors are those of `parse_columns`."""
    return ",".join(f"{meaning}={name}" for meaning, name in sorted(parse_columns(text).items()))


def parse_columns(text: str) -> dict[str, str]:
    """Return the columns by meaning in a text such as `path=file,latitude=y`.

    Raises:
        ValueError: The text is not a mapping. The message says why.
    """
    columns: dict[str, str] = {}
    for part in text.split(","):
        meaning, _, name = (each.strip() for each in part.partition("="))
        if not (meaning and name):
            raise ValueError("expected meaning=column, as in path=file,latitude=y,longitude=x")
        if meaning not in ALIASES:
            raise ValueError(f"unknown meaning {meaning}. Choose one of {', '.join(ALIASES)}")
        if meaning in columns:
            raise ValueError(f"{meaning} is given twice")
        columns[meaning] = name
    return columns


def find_columns(table: Path, schema: Mapping[str, pl.DataType], given: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of a table by meaning.

    A given column wins over one with a known name. Columns of lists, structs, bytes and durations are not read.

    Raises:
        UserError: A given column is missing or unreadable, a required one is missing, or several have one meaning.
    """
    names = [name for name, kind in schema.items() if not (kind.is_nested() or kind in (pl.Binary, pl.Duration))]
    for meaning, name in given.items():
        if name not in schema:
            raise UserError(f"{table} has no column {name} (for {meaning}). It has {', '.join(schema)}.")
        if name not in names:
            raise UserError(f"{table}: column {name} holds {_kind(schema[name])}. {meaning} takes text or numbers.")
        _check_single(table, meaning, [each for each in names if _as_in_file(each) == _as_in_file(name)])
    columns = dict(given)
    for meaning in [each for each in ALIASES if each not in given]:
        matches = [name for name in names if MEANINGS.get(_normalized(name)) == meaning and name not in given.values()]
        _check_single(table, meaning, matches)
        if matches:
            columns[meaning] = matches[0]
    if "utm_east" not in columns and _normalized(columns.get("utm_band", "")) == HEMISPHERE:
        columns.setdefault("latitude_ref", columns.pop("utm_band"))
    for name in schema:
        if name not in names and _normalized(name) in MEANINGS:
            logger.warning("%s: column %s holds %s and is not read", table, name, _kind(schema[name]))
    _check_complete(table, schema, columns)
    return columns


def _check_single(table: Path, meaning: str, matches: Sequence[str]) -> None:
    if len(matches) < 2:
        return
    names = [_as_in_file(name) for name in matches]
    advice = "Rename one." if len(set(names)) == 1 else f"Choose one: --columns {meaning}={names[0]}"
    raise UserError(f"{table}: columns {' and '.join(names)} could both be {meaning}. {advice}")


def _as_in_file(name: str) -> str:
    """Return a column's name without the number that polars adds to repeats."""
    return re.sub(r"_duplicated_\d+$", "", name)


def _normalized(name: str) -> str:
    return _as_in_file(name).strip().lower().replace(" ", "_").replace("-", "_")


def _kind(kind: pl.DataType) -> str:
    return type(kind).__name__


def _check_complete(table: Path, schema: Mapping[str, pl.DataType], columns: Mapping[str, str]) -> None:
    names = (f"{name} ({_kind(kind)})" if kind.is_nested() else name for name, kind in schema.items())
    all_columns = f"It has {', '.join(names)}."
    if "path" not in columns:
        raise UserError(f"{table}: no column has the images' paths. Give --columns path=... {all_columns}")
    if not any(all(meaning in columns for meaning in pair) for pair in POSITIONS):
        raise UserError(
            f"{table}: no columns have positions. Give --columns latitude=...,longitude=... (degrees) or "
            f"utm_east=...,utm_north=...,utm_zone=... (metres). {all_columns}"
        )
