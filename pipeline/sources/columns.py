"""Which column of a table means what: by its name, or as the user says."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from data_manifest.errors import UserError

ALSO_CALLED = {
    "path": ("file", "filename", "file_name", "file_path", "filepath", "image", "image_path", "img", "img_path"),
    "latitude": ("lat", "gps_lat", "gps_latitude"),
    "longitude": ("lon", "lng", "long", "gps_lon", "gps_lng", "gps_longitude"),
    "utm_east": ("east", "easting"),
    "utm_north": ("north", "northing"),
    "utm_zone": ("zone", "utm_zone_number", "zone_number"),
    "utm_band": ("band", "utm_zone_letter", "zone_letter", "hemisphere"),
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


def find_columns(table: Path, names: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Return the column of a table for each meaning that it has one for: those given, else those that are called so.

    Raises:
        UserError: A column that was given is not there; there is none for what is needed; or several could be it.
    """
    for meaning, name in given.items():
        if name not in names:
            raise UserError(f"{table}: there is no column {name} (for {meaning}): it has {', '.join(names)}")
    found = dict(given)
    for meaning, others in ALSO_CALLED.items():
        if meaning in given:
            continue
        exact = [name for name in names if _plain(name) == meaning]
        alike = exact or [name for name in names if _plain(name) in others]
        alike = [name for name in alike if name not in given.values()]
        if len(alike) > 1:
            raise UserError(
                f"{table}: columns {' and '.join(alike)} could both be {meaning}: say which, as in "
                f"--columns {meaning}={alike[0]}"
            )
        if alike:
            found[meaning] = alike[0]
    _check_enough(table, names, found)
    return found


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _check_enough(table: Path, names: Sequence[str], found: Mapping[str, str]) -> None:
    there = f"it has {', '.join(names)}"
    if "path" not in found:
        raise UserError(
            f"{table}: which column has the images' paths? Give --columns path=...; {there} (its first line)"
        )
    if not any(all(meaning in found for meaning in pair) for pair in POSITIONS):
        raise UserError(
            f"{table}: where are the positions? Give --columns latitude=...,longitude=... (degrees), or "
            f"utm_east=...,utm_north=...,utm_zone=... (metres); {there}"
        )
