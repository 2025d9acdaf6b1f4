"""What one photo's file says of itself: position, heading and time, from its EXIF, XMP and Mapillary's description.

Headers alone are read: no picture is decoded. Where several say something, Mapillary's description comes before XMP's
pose, and that before EXIF: whoever wrote them did so after the camera, and on purpose.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

from data_manifest.pictures import open_picture

GPS, EXIF = ExifTags.IFD.GPSInfo, ExifTags.IFD.Exif
TAGS, GPS_TAGS = ExifTags.Base, ExifTags.GPS
REFERENCES = {"T": "true", "M": "magnetic"}
PANORAMA, TURNED = "equirectangular", "orientation {}"
UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, Image.DecompressionBombError)
_GPANO = re.compile(r"GPano:(ProjectionType|Pose(?:Heading|Pitch|Roll)Degrees)\s*(?:=\s*[\"']|>)\s*([^\"'<]*)")

Facts = dict[str, str]


def read_photo(path: bytes) -> Facts:
    """Return the fields that a photo tells, as texts; of what it does not tell there is none.

    Raises:
        OSError: The file cannot be read; `UNREADABLE` has what else a file that is no whole image brings about.
    """
    with open_picture(path) as image:
        exif = image.getexif()
        gps, camera = exif.get_ifd(GPS), exif.get_ifd(EXIF)
        described = _mapillary(exif.get(TAGS.ImageDescription))
        pano = _gpano(image.info.get("xmp"))
        size, orientation = image.size, exif.get(TAGS.Orientation)
    facts = {**_time(exif, camera, gps), **_position(gps), **_heading(gps), **pano, **described}
    is_panorama = facts.pop("projection", "") == PANORAMA or size[0] == 2 * size[1]
    if is_panorama:
        facts["note"] = PANORAMA
    elif isinstance(orientation, int) and 1 < orientation <= 8:
        facts["note"] = TURNED.format(orientation)
    return facts


def _position(gps: Mapping[int, Any]) -> Facts:
    latitude = _degrees(gps.get(GPS_TAGS.GPSLatitude), _letter(gps.get(GPS_TAGS.GPSLatitudeRef)), "S")
    longitude = _degrees(gps.get(GPS_TAGS.GPSLongitude), _letter(gps.get(GPS_TAGS.GPSLongitudeRef)), "W")
    height = _number(gps.get(GPS_TAGS.GPSAltitude))
    if height is not None and gps.get(GPS_TAGS.GPSAltitudeRef) in (1, b"\x01"):  # below the sea
        height = -height
    if latitude is None or longitude is None:
        return {}
    return _texts(latitude=latitude, longitude=longitude, height=height)


def _heading(gps: Mapping[int, Any]) -> Facts:
    heading = _number(gps.get(GPS_TAGS.GPSImgDirection))
    if heading is None or not 0 <= heading <= 360:
        return {}
    reference = REFERENCES.get(_letter(gps.get(GPS_TAGS.GPSImgDirectionRef)), "")
    return {**_texts(heading=heading), "heading_source": "exif", "heading_reference": reference}


def _time(exif: Mapping[int, Any], camera: Mapping[int, Any], gps: Mapping[int, Any]) -> Facts:
    """Return when the photo was taken, by the camera's clock, else by GPS, else when the file was written."""
    clock = gps.get(GPS_TAGS.GPSTimeStamp)
    of_gps = None
    if isinstance(clock, tuple) and len(clock) == 3 and all(_number(each) is not None for each in clock):
        of_gps = f"{gps.get(GPS_TAGS.GPSDateStamp)} " + ":".join(f"{int(each):02d}" for each in clock)
    for text in (
        camera.get(TAGS.DateTimeOriginal),
        camera.get(TAGS.DateTimeDigitized),
        of_gps,
        exif.get(TAGS.DateTime),
    ):
        found = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)", str(text))
        if found and found[1] != "0000":
            return {"timestamp": "{}{}{}_{}{}{}".format(*found.groups())}
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
        heading = _number(compass.get(name)) if isinstance(compass, dict) else None
        if heading is not None and 0 <= heading <= 360:
            facts |= {**_texts(heading=heading), "heading_source": "mapillary", "heading_reference": reference}
            break
    if found := re.match(r"(\d{4})_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d\d)", str(told.get("MAPCaptureTime"))):
        facts["timestamp"] = "{}{}{}_{}{}{}".format(*found.groups())
    return facts


def _gpano(xmp: Any) -> Facts:
    """Return the pose of a photo sphere, as attributes or elements of XMP; its heading counts from true north."""
    if not isinstance(xmp, bytes) or b"GPano:" not in xmp:
        return {}
    told = dict(reversed(_GPANO.findall(xmp.decode("utf-8", "replace"))))
    pose = {field: _number(told.get(f"Pose{field.title()}Degrees")) for field in ("heading", "pitch", "roll")}
    facts = _texts(**pose)
    if "heading" in facts:
        facts |= {"heading_source": "xmp", "heading_reference": "true"}
    return {**facts, "projection": told.get("ProjectionType", "").strip()}


def _degrees(parts: Any, letter: str, negative: str) -> float | None:
    """Return degrees given as degrees, minutes and seconds, and the letter of the side; None if they are not."""
    if not isinstance(parts, tuple) or not parts or len(parts) > 3:
        return None
    numbers = [_number(part) for part in parts]
    if any(number is None for number in numbers[:1]):
        return None
    value = sum((number or 0.0) / unit for unit, number in zip((1, 60, 3600), numbers, strict=False))
    return -value if letter == negative else value


def _number(value: Any) -> float | None:
    """Return a finite number, else None: cameras write 0/0 where they know nothing."""
    try:
        number: float = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if math.isfinite(number) else None


def _letter(value: Any) -> str:
    return str(value or "").strip("\0 ").upper()[:1]


def _texts(**numbers: float | None) -> Facts:
    return {name: repr(round(number, 9)) for name, number in numbers.items() if number is not None}
