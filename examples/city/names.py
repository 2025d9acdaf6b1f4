"""File names as SF-XL writes them: position, heading and time between `@` signs, 16 parts."""

import base64
import hashlib
import math

import utm

ZONE_NUMBER, ZONE_LETTER = 10, "S"  # San Francisco, whence the toy city borrows its ground


def panorama_id(*parts: object) -> str:
    """22 characters, as SF-XL's: 16 bytes in the base-64 alphabet of file names, the same for the same `parts`."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=16).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def latitude_longitude(utm_east: float, utm_north: float) -> tuple[float, float]:
    """Degrees (WGS 84) of a position in metres of zone 10 S."""
    latitude, longitude = utm.to_latlon(utm_east, utm_north, ZONE_NUMBER, ZONE_LETTER)
    return float(latitude), float(longitude)


def image_name(utm_east: float, utm_north: float, heading: int, pano_id: str, timestamp: str) -> str:
    """Name of one view; positions in metres, `heading` in degrees clockwise from north, `timestamp` YYYYMM."""
    latitude, longitude = latitude_longitude(utm_east, utm_north)
    place = f"@{utm_east:010.2f}@{utm_north:010.2f}@{ZONE_NUMBER}@{ZONE_LETTER}@{latitude:09.5f}@{longitude:010.5f}"
    return f"{place}@{pano_id}@@{heading}@@@@{timestamp}@@.jpg"


def latitude_folder(utm_east: float, utm_north: float) -> str:
    """SF-XL keeps its train images in one folder for each hundredth of a degree: `37.77`."""
    latitude, _ = latitude_longitude(utm_east, utm_north)
    return f"{math.floor(latitude * 100) / 100:.2f}"
