"""Read the position, heading and time of a photo from EXIF, XMP and the description that Mapillary's tools write.

Precedence for headings: Mapillary, XMP pose, EXIF. For positions: Mapillary, EXIF, XMP.
"""

import html
import json
import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import IO, Any

from PIL import ExifTags, Image

from data_manifest.images.open_picture import open_picture
from pipeline.metadata.degrees import signed_degrees

GPS, EXIF = ExifTags.IFD.GPSInfo, ExifTags.IFD.Exif
TAGS, GPS_TAGS = ExifTags.Base, ExifTags.GPS
REFERENCES = {"T": "true", "M": "magnetic"}
EQUIRECTANGULAR = "equirectangular"
ROTATED = "orientation {}"
DOUBTFUL_HEADING = "GPano heading 0, GPSImgDirection {}"  # some programs write 0 for an unknown heading
UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, Image.DecompressionBombError)
_XMP = re.compile(r"""(?<!/)\b((?:GPano|exif|drone-dji):\w+)\s*(?:=\s*(?:"([^"]*)"|'([^']*)')|>([^<]*)<)""")

Fields = dict[str, str]


def read_photo(photo: bytes | IO[bytes]) -> Fields:
    """Return the fields of a photo, given by its path or opened, as text.

    If it has positions but none is usable, `unclear` says what is wrong with the first.

    Raises:
        OSError: The file cannot be read.
        UNREADABLE: The file is not an intact image.
    """
    with open_picture(photo) as image:
        exif = image.getexif()
        gps, camera = exif.get_ifd(GPS), exif.get_ifd(EXIF)
        mapillary = _mapillary(exif.get(TAGS.ImageDescription))
        xmp = read_xmp(image.info.get("xmp"))
        size, orientation = image.size, exif.get(TAGS.Orientation)
    direction = _direction(gps, xmp)
    fields = {**_time(exif, camera, gps, xmp), **_position(gps, xmp), **direction, **_pose(xmp), **mapillary}
    projection = xmp.get("GPano:ProjectionType", EQUIRECTANGULAR if size[0] == 2 * size[1] else "")
    if projection.lower() == EQUIRECTANGULAR:
        fields["note"] = EQUIRECTANGULAR + _doubt(fields, direction.get("heading"))
    elif isinstance(orientation, int) and 1 < orientation <= 8:
        fields["note"] = ROTATED.format(orientation)
    return fields


def position_of(image: Image.Image) -> tuple[float, float] | None:
    """Return the latitude and longitude of an opened photo in degrees; None without a usable position."""
    try:
        exif = image.getexif()
        fields = _position(exif.get_ifd(GPS), read_xmp(image.info.get("xmp")))
        fields |= _mapillary(exif.get(TAGS.ImageDescription))
    except Exception:  # broken EXIF makes Pillow raise many kinds
        return None
    if not {"latitude", "longitude"} <= fields.keys():
        return None
    latitude, longitude = float(fields["latitude"]), float(fields["longitude"])
    is_place = abs(latitude) <= 90 and abs(longitude) <= 180 and (latitude, longitude) != (0, 0)  # 0, 0: unknown
    return (latitude, longitude) if is_place else None


def read_xmp(packet: object) -> dict[str, str]:
    """Return the properties of an XMP packet, by names such as exif:GPSLatitude."""
    if not isinstance(packet, bytes):
        return {}
    properties: dict[str, str] = {}
    for name, *values in _XMP.findall(packet.decode("utf-8", "replace")):
        if value := html.unescape("".join(values)).strip():
            properties.setdefault(name.replace("Longtitude", "Longitude"), value)  # some DJI drones misspell it
    return properties


def _doubt(fields: Fields, direction: str | None) -> str:
    """Return a note if the pose is exactly north and EXIF's direction is not."""
    is_north = fields.get("heading_source") == "xmp" and _number(fields["heading"]) == 0
    is_doubtful = is_north and _number(direction) not in (None, 0, 360)
    return f"; {DOUBTFUL_HEADING.format(direction)}" if is_doubtful else ""


def _position(gps: Mapping[int, Any], xmp: Mapping[str, str]) -> Fields:
    """Return the first usable position, else `unclear`: what is wrong with the first."""
    exif = {
        "Latitude": (gps.get(GPS_TAGS.GPSLatitude), gps.get(GPS_TAGS.GPSLatitudeRef)),
        "Longitude": (gps.get(GPS_TAGS.GPSLongitude), gps.get(GPS_TAGS.GPSLongitudeRef)),
    }
    exif_in_xmp = {name: (xmp.get(f"exif:GPS{name}"), xmp.get(f"exif:GPS{name}Ref")) for name in exif}
    drone = {name: (_signed(xmp.get(f"drone-dji:Gps{name}")), None) for name in exif}
    unclear: Fields = {}
    for prefix, position in (("GPS", exif), ("exif:GPS", exif_in_xmp), ("drone-dji:Gps", drone)):
        if all(value is None for value, _ in position.values()):
            continue
        try:
            degrees = {name.lower(): _degrees(prefix, name, *position[name]) for name in position}
        except ValueError as error:
            unclear.setdefault("unclear", str(error))
        else:
            return _as_texts(**degrees, height=_height(gps))
    return unclear


def _degrees(prefix: str, name: str, value: Any, side: Any) -> float:
    if value is None:
        raise ValueError(f"{prefix}{name} is missing")
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
    """Return a DJI number with its sign, which may be missing for north and east."""
    return f"+{number}" if number and number[0].isdigit() else number


def _height(gps: Mapping[int, Any]) -> float | None:
    height = _number(gps.get(GPS_TAGS.GPSAltitude))
    is_below_sea = gps.get(GPS_TAGS.GPSAltitudeRef) in (1, b"\x01")
    return -height if height is not None and is_below_sea else height


def _direction(gps: Mapping[int, Any], xmp: Mapping[str, str]) -> Fields:
    """Return the heading in GPSImgDirection, from EXIF or else from XMP."""
    references = gps.get(GPS_TAGS.GPSImgDirectionRef), xmp.get("exif:GPSImgDirectionRef")
    of_exif, of_xmp = (REFERENCES.get(_text(reference).upper()[:1], "") for reference in references)
    in_exif = _heading(gps.get(GPS_TAGS.GPSImgDirection), "exif", of_exif)
    return in_exif or _heading(xmp.get("exif:GPSImgDirection"), "xmp", of_xmp)


def _pose(xmp: Mapping[str, str]) -> Fields:
    """Return the GPano pose: pitch, roll, and the heading of the centre column."""
    pitch, roll = (_number(xmp.get(f"GPano:Pose{name}Degrees")) for name in ("Pitch", "Roll"))
    return _as_texts(pitch=pitch, roll=roll) | _heading(xmp.get("GPano:PoseHeadingDegrees"), "xmp", "true")


def _heading(value: Any, source: str, reference: str) -> Fields:
    """Return the fields of a heading that is a number or a text; none for an unknown number."""
    heading = _as_texts(heading=_number(value)).get(
        "heading", "" if isinstance(value, str) and "/" in value else _text(value)
    )
    return {"heading": heading, "heading_source": source, "heading_reference": reference} if heading else {}


def _time(exif: Mapping[int, Any], camera: Mapping[int, Any], gps: Mapping[int, Any], xmp: Mapping[str, str]) -> Fields:
    """Return when the photo was taken (camera's clock, else GPS), else written."""
    clock, date = gps.get(GPS_TAGS.GPSTimeStamp), _text(gps.get(GPS_TAGS.GPSDateStamp))
    gps_time = None
    if date and isinstance(clock, tuple) and len(clock) == 3 and all(_number(each) is not None for each in clock):
        gps_time = f"{date} " + ":".join(f"{int(each):02d}" for each in clock)
    for value in (
        camera.get(TAGS.DateTimeOriginal),
        camera.get(TAGS.DateTimeDigitized),
        gps_time,
        exif.get(TAGS.DateTime),
        xmp.get("exif:DateTimeOriginal"),
    ):
        if re.search("[1-9]", text := _text(value)):  # cameras write zeros or blanks while their clock is not set
            return {"timestamp": text}
    return {}


def _mapillary(description: Any) -> Fields:
    """Return the fields in the JSON that Mapillary's tools write."""
    try:
        values = json.loads(description) if isinstance(description, str) and '"MAP' in description else {}
    except ValueError:
        return {}
    if not isinstance(values, dict):
        return {}
    fields: Fields = {}
    latitude, longitude = _number(values.get("MAPLatitude")), _number(values.get("MAPLongitude"))
    if latitude is not None and longitude is not None:
        fields |= _as_texts(latitude=latitude, longitude=longitude, height=_number(values.get("MAPAltitude")))
    if isinstance(compass := values.get("MAPCompassHeading"), dict):
        of_true_north = _heading(compass.get("TrueHeading"), "mapillary", "true")
        fields |= of_true_north or _heading(compass.get("MagneticHeading"), "mapillary", "magnetic")
    time = _text(values.get("MAPCaptureTime"))
    return fields | ({"timestamp": time} if time else {})


def _number(value: Any) -> float | None:
    """Return a finite number, else None; cameras write 0/0 for an unknown number."""
    try:
        number = float(Fraction(value) if isinstance(value, str) and "/" in value else value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    """Return a text without surrounding blanks and zero bytes, else an empty text."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return text.strip("\0 \t\r\n") if isinstance(text, str) else ""


def _as_texts(**numbers: float | None) -> Fields:
    return {name: repr(round(number, 9)) for name, number in numbers.items() if number is not None}
