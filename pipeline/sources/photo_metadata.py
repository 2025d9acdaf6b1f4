"""What one photo's file says of itself: position, heading and time, from its EXIF, XMP and Mapillary's description.

Only headers are read: no picture is decoded. Where several give a heading, Mapillary's description comes before XMP's
pose, and that before EXIF; of positions, Mapillary's comes before EXIF's, and that before XMP's.
"""

import json
import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from PIL import ExifTags, Image

from data_manifest.images.open_picture import open_picture
from pipeline.sources.degrees import signed_degrees
from pipeline.sources.xmp import EQUIRECTANGULAR, read_xmp

GPS, EXIF = ExifTags.IFD.GPSInfo, ExifTags.IFD.Exif
TAGS, GPS_TAGS = ExifTags.Base, ExifTags.GPS
REFERENCES = {"T": "true", "M": "magnetic"}
TURNED = "orientation {}"
ZERO_HEADING = "GPano heading 0, GPSImgDirection {}"  # some programs write 0 for an unknown heading
UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, Image.DecompressionBombError)

Facts = dict[str, str]


def read_photo(path: bytes) -> Facts:
    """Return the fields that a photo gives, as texts; those that it does not give are missing.

    Without a clear position, `unclear` says what is wrong with the one that is written, if any.

    Raises:
        OSError: The file cannot be read; `UNREADABLE` has what else a file that is no whole image brings about.
    """
    with open_picture(path) as image:
        exif = image.getexif()
        gps, camera = exif.get_ifd(GPS), exif.get_ifd(EXIF)
        described = _mapillary(exif.get(TAGS.ImageDescription))
        xmp = read_xmp(image.info.get("xmp"))
        size, orientation = image.size, exif.get(TAGS.Orientation)
    direction, pose = _heading(gps, xmp), _pose(xmp)
    facts = {**_time(exif, camera, gps, xmp), **_position(gps, xmp), **direction, **pose, **described}
    projection = xmp.get("GPano:ProjectionType", EQUIRECTANGULAR if size[0] == 2 * size[1] else "")
    if projection.lower() == EQUIRECTANGULAR:
        facts["note"] = EQUIRECTANGULAR + _doubt(facts, direction.get("heading"))
    elif isinstance(orientation, int) and 1 < orientation <= 8:
        facts["note"] = TURNED.format(orientation)
    return facts


def _doubt(facts: Facts, direction: str | None) -> str:
    """Return a note on a pose that looks exactly north beside a direction that does not."""
    is_north = facts.get("heading_source") == "xmp" and _number(facts["heading"]) == 0
    is_doubtful = is_north and _number(direction) not in (None, 0, 360)
    return f"; {ZERO_HEADING.format(direction)}" if is_doubtful else ""


def _position(gps: Mapping[int, Any], xmp: Mapping[str, str]) -> Facts:
    """Return the first clear position, or in `unclear` what is wrong with the first one."""
    in_exif = {
        "Latitude": (gps.get(GPS_TAGS.GPSLatitude), gps.get(GPS_TAGS.GPSLatitudeRef)),
        "Longitude": (gps.get(GPS_TAGS.GPSLongitude), gps.get(GPS_TAGS.GPSLongitudeRef)),
    }
    in_xmp = {name: (xmp.get(f"exif:GPS{name}"), xmp.get(f"exif:GPS{name}Ref")) for name in in_exif}
    of_drone = {name: (_signed(xmp.get(f"drone-dji:Gps{name}")), None) for name in in_exif}
    unclear: Facts = {}
    for prefix, written in (("GPS", in_exif), ("exif:GPS", in_xmp), ("drone-dji:Gps", of_drone)):
        if all(value is None for value, _ in written.values()):
            continue
        try:
            degrees = {name.lower(): _degrees(prefix, name, *written[name]) for name in written}
        except ValueError as error:
            unclear.setdefault("unclear", str(error))
        else:
            return _texts(**degrees, height=_height(gps))
    return unclear


def _degrees(prefix: str, name: str, value: Any, side: Any) -> float:
    if value is None:
        raise ValueError(f"there is no {prefix}{name}")
    value = _text(value) if isinstance(value, str | bytes) else value
    try:
        return signed_degrees(name.lower(), value, _text(side))
    except ValueError as error:
        raise ValueError(f"{prefix}{name} = {_shown(value)} {_text(side)}".rstrip() + f": {error}") from None


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return f"{value.numerator}/0" if getattr(value, "denominator", 1) == 0 else str(value)


def _signed(number: str | None) -> str | None:
    """Return DJI's number with a sign: north and east may be written without one."""
    return f"+{number}" if number and number[0].isdigit() else number


def _height(gps: Mapping[int, Any]) -> float | None:
    height = _number(gps.get(GPS_TAGS.GPSAltitude))
    is_below_sea = gps.get(GPS_TAGS.GPSAltitudeRef) in (1, b"\x01")
    return -height if height is not None and is_below_sea else height


def _heading(gps: Mapping[int, Any], xmp: Mapping[str, str]) -> Facts:
    """Return the direction in EXIF, or else in XMP."""
    in_exif = gps.get(GPS_TAGS.GPSImgDirection), gps.get(GPS_TAGS.GPSImgDirectionRef)
    in_xmp = xmp.get("exif:GPSImgDirection"), xmp.get("exif:GPSImgDirectionRef")
    for source, (value, reference) in (("exif", in_exif), ("xmp", in_xmp)):
        if heading := _written(value):
            known = REFERENCES.get(_text(reference).upper()[:1], "")
            return {"heading": heading, "heading_source": source, "heading_reference": known}
    return {}


def _time(exif: Mapping[int, Any], camera: Mapping[int, Any], gps: Mapping[int, Any], xmp: Mapping[str, str]) -> Facts:
    """Return when the photo was taken, by the camera's clock, else by GPS, else when the file was written."""
    clock, date = gps.get(GPS_TAGS.GPSTimeStamp), _text(gps.get(GPS_TAGS.GPSDateStamp))
    of_gps = None
    if date and isinstance(clock, tuple) and len(clock) == 3 and all(_number(each) is not None for each in clock):
        of_gps = f"{date} " + ":".join(f"{int(each):02d}" for each in clock)
    for value in (
        camera.get(TAGS.DateTimeOriginal),
        camera.get(TAGS.DateTimeDigitized),
        of_gps,
        exif.get(TAGS.DateTime),
        xmp.get("exif:DateTimeOriginal"),
    ):
        if re.search("[1-9]", text := _text(value)):  # cameras write zeros or blanks where their clock is not set
            return {"timestamp": text}
    return {}


def _mapillary(description: Any) -> Facts:
    """Return what Mapillary's tools wrote into a description, JSON of fields that begin with MAP."""
    if not isinstance(description, str) or '"MAP' not in description:
        return {}
    try:
        told = json.loads(description)
    except ValueError:
        return {}
    if not isinstance(told, dict):
        return {}
    facts: Facts = {}
    latitude, longitude = _number(told.get("MAPLatitude")), _number(told.get("MAPLongitude"))
    if latitude is not None and longitude is not None:
        facts |= _texts(latitude=latitude, longitude=longitude, height=_number(told.get("MAPAltitude")))
    compass = told.get("MAPCompassHeading")
    for name, reference in (("TrueHeading", "true"), ("MagneticHeading", "magnetic")):
        if isinstance(compass, dict) and (heading := _written(compass.get(name))):
            facts |= {"heading": heading, "heading_source": "mapillary", "heading_reference": reference}
            break
    if time := _text(told.get("MAPCaptureTime")):
        facts["timestamp"] = time
    return facts


def _pose(xmp: Mapping[str, str]) -> Facts:
    """Return the pose of a photo sphere; its heading counts from true north."""
    pitch, roll = (_number(xmp.get(f"GPano:Pose{name}Degrees")) for name in ("Pitch", "Roll"))
    facts = _texts(pitch=pitch, roll=roll)
    if heading := _written(xmp.get("GPano:PoseHeadingDegrees")):
        facts |= {"heading": heading, "heading_source": "xmp", "heading_reference": "true"}
    return facts


def _number(value: Any) -> float | None:
    """Return a finite number, else None: cameras write 0/0 for what they do not know."""
    try:
        number = float(Fraction(value) if isinstance(value, str) and "/" in value else value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if math.isfinite(number) else None


def _written(value: Any) -> str:
    """Return a number's text, or what is written in place of one; empty if nothing is, or no finite number."""
    number = _number(value)
    if number is not None:
        return repr(round(number, 9))
    return "" if isinstance(value, str) and "/" in value else _text(value)


def _text(value: Any) -> str:
    """Return a text without the blanks and zeros around it; empty for what is no text."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return text.strip("\0 \t\r\n") if isinstance(text, str) else ""


def _texts(**numbers: float | None) -> Facts:
    return {name: repr(round(number, 9)) for name, number in numbers.items() if number is not None}
