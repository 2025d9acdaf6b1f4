"""Which column of a table means what: by its name, or as the user says."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError

HEMISPHERE = "hemisphere"  # N or S: of UTM where that is given, else of the latitude
ALSO_CALLED = {
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
POSITIONS = (("latitude", "longitude"), ("utm_east", "utm_north"))
logger = logging.getLogger(__name__)


def columns_in_one_form(text: str) -> str:
    """Return the one text of those that mean the same: sorted by what the columns mean.

    Raises:
        ValueError: The text breaks the rule, which the message has.
    """
    return ",".join(f"{meaning}={name}" for meaning, name in sorted(columns_of(text).items()))


def columns_of(text: str) -> dict[str, str]:
    """Return the name of each column that `path=file,latitude=y` names, by its meaning.

    Raises:
        ValueError: As in `columns_in_one_form`.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        meaning, equals, name = (each.strip() for each in part.partition("="))
        if not (meaning and equals and name):
            raise ValueError("expected meaning=column, as in path=file,latitude=y,longitude=x")
        if meaning not in ALSO_CALLED:
            raise ValueError(f"{meaning} is no meaning of a column: choose of {', '.join(ALSO_CALLED)}")
        if meaning in found:
            raise ValueError(f"{meaning} is given twice")
        found[meaning] = name
    return found


def find_columns(table: Path, schema: Mapping[str, pl.DataType], given: Mapping[str, str]) -> dict[str, str]:
    """Return the column of a table for each meaning that it has one for: those given, else those of a known name.

    Columns of lists, structures, bytes and durations are not read.

    Raises:
        UserError: A column that was given is missing or unreadable, one that is needed is missing, or several columns
            could have the same meaning.
    """
    names = [name for name, kind in schema.items() if not (kind.is_nested() or kind in (pl.Binary, pl.Duration))]
    for meaning, name in given.items():
        if name not in schema:
            raise UserError(f"{table} has no column {name} (for {meaning}). It has {', '.join(schema)}.")
        if name not in names:
            raise UserError(f"{table}: column {name} holds {_kind(schema[name])}. {meaning} takes text or numbers.")
        _check_single(table, meaning, [each for each in names if _written(each) == _written(name)])
    found = dict(given)
    for meaning, others in ALSO_CALLED.items():
        if meaning in given:
            continue
        alike = [name for name in names if _plain(name) in (meaning, *others) and name not in given.values()]
        _check_single(table, meaning, alike)
        if alike:
            found[meaning] = alike[0]
    if "utm_east" not in found and _plain(found.get("utm_band", "")) == HEMISPHERE:
        found.setdefault("latitude_ref", found.pop("utm_band"))
    for name in schema:
        if name not in names and any(_plain(name) in (meaning, *others) for meaning, others in ALSO_CALLED.items()):
            logger.warning("%s: column %s holds %s and is not read", table, name, _kind(schema[name]))
    _check_enough(table, schema, found)
    return found


def _check_single(table: Path, meaning: str, alike: Sequence[str]) -> None:
    if len(alike) < 2:
        return
    written = [_written(name) for name in alike]
    advice = "Rename one." if len(set(written)) == 1 else f"Choose one: --columns {meaning}={written[0]}"
    raise UserError(f"{table}: columns {' and '.join(written)} could both be {meaning}. {advice}")


def _written(name: str) -> str:
    """Return a column's name as the file has it: polars numbers those that occur twice."""
    return re.sub(r"_duplicated_\d+$", "", name)


def _plain(name: str) -> str:
    return _written(name).strip().lower().replace(" ", "_").replace("-", "_")


def _kind(kind: pl.DataType) -> str:
    return type(kind).__name__


def _check_enough(table: Path, schema: Mapping[str, pl.DataType], found: Mapping[str, str]) -> None:
    there = "It has " + ", ".join(
        f"{name} ({_kind(kind)})" if kind.is_nested() else name for name, kind in schema.items()
    )
    if "path" not in found:
        raise UserError(f"{table}: no column has the images' paths. Give --columns path=... {there} (its first line).")
    if not any(all(meaning in found for meaning in pair) for pair in POSITIONS):
        raise UserError(
            f"{table}: no columns have positions. Give --columns latitude=...,longitude=... (degrees) or "
            f"utm_east=...,utm_north=...,utm_zone=... (metres). {there}."
        )
