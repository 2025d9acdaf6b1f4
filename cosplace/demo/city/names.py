"""SF-XL file names: 16 fields between `@` signs, among them position, heading and time."""

import base64
import hashlib
import math

import utm

ZONE_NUMBER, ZONE_LETTER = 10, "S"  # San Francisco


def panorama_id(*parts: object) -> str:
    """Return 22 characters as in SF-XL: 16 bytes in URL-safe base 64, a hash of `parts`."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=16).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def latitude_longitude(utm_east: float, utm_north: float) -> tuple[float, float]:
    """Return WGS 84 degrees of a position in metres of zone 10 S."""
    latitude, longitude = utm.to_latlon(utm_east, utm_north, ZONE_NUMBER, ZONE_LETTER)
    return float(latitude), float(longitude)


def image_name(utm_east: float, utm_north: float, heading: int, pano_id: str, timestamp: str) -> str:
    """Return the name of a view; positions in metres, `heading` in degrees, `timestamp` YYYYMM."""
    latitude, longitude = latitude_longitude(utm_east, utm_north)
    place = f"@{utm_east:010.2f}@{utm_north:010.2f}@{ZONE_NUMBER}@{ZONE_LETTER}@{latitude:09.5f}@{longitude:010.5f}"
    return f"{place}@{pano_id}@@{heading}@@@@{timestamp}@@.jpg"


def latitude_folder(utm_east: float, utm_north: float) -> str:
    """Return the folder of a training image in SF-XL, one per hundredth of a degree: `37.77`."""
    latitude, _ = latitude_longitude(utm_east, utm_north)
    return f"{math.floor(latitude * 100) / 100:.2f}"
