"""Find which rows of the whole panorama a picture shows.

They follow from the sizes in XMP (GPano), else from the aspect ratio. Rows are those of SF-XL's whole panoramas, from 0
at the zenith to 1664 at the nadir.
"""

import math
from collections.abc import Mapping

from pipeline.metadata.fields import FULL_TURN
from pipeline.sources.photo_metadata import EQUIRECTANGULAR
from pipeline.verification.bad_image import BadImageError, Status

WIDTH, HEIGHT, STRIP_TOP, STRIP_HEIGHT = 3328, 1664, 512, 512  # of SF-XL's panoramas
Rows = tuple[float, float]  # the first one, and the one after the last
WHOLE: Rows = (0.0, HEIGHT)
STRIP: Rows = (STRIP_TOP, STRIP_TOP + STRIP_HEIGHT)
TOLERANCE = 0.01  # relative, of aspect ratios and of the width
ROUNDING = 2.0  # rows


def rows_shown(width: int, height: int, xmp: Mapping[str, str]) -> Rows:
    """Return the rows that a picture with this many pixels shows.

    Raises:
        BadImageError: It does not show 360 degrees in equirectangular projection, or its sizes contradict each other.
    """
    projection = xmp.get("GPano:ProjectionType", EQUIRECTANGULAR)
    if projection.lower() != EQUIRECTANGULAR:
        raise BadImageError(Status.OTHER_PROJECTION, f"GPano:ProjectionType is {projection}, not {EQUIRECTANGULAR}")
    if full_width := _size(xmp, "FullPanoWidthPixels"):
        return _rows_by_sizes(width, height, full_width, xmp)
    for rows in (WHOLE, STRIP):
        if _is_close(width / height, WIDTH / (rows[1] - rows[0])):
            return rows
    raise BadImageError(Status.WRONG_SIZE, f"{width}x{height} is neither 2:1, a whole panorama, nor 3328:512, a strip")


def _rows_by_sizes(width: int, height: int, full_width: float, xmp: Mapping[str, str]) -> Rows:
    """Return the rows of a picture by GPano's sizes, which may precede a scaling."""
    full_height = _size(xmp, "FullPanoHeightPixels") or full_width / 2
    area_width = _size(xmp, "CroppedAreaImageWidthPixels") or full_width
    area_height = _size(xmp, "CroppedAreaImageHeightPixels") or area_width * height / width
    left, top = _size(xmp, "CroppedAreaLeftPixels") or 0.0, _size(xmp, "CroppedAreaTopPixels")
    if not _is_close(full_width / full_height, WIDTH / HEIGHT):
        raise BadImageError(Status.WRONG_SIZE, f"GPano's whole panorama is {full_width:g}x{full_height:g}, not 2:1")
    if area_width < (1 - TOLERANCE) * full_width:
        degrees = FULL_TURN * area_width / full_width
        raise BadImageError(Status.PARTIAL_PANORAMA, f"shows {degrees:.0f} of {FULL_TURN:g} degrees (GPano)")
    if not _is_close(width / height, area_width / area_height):
        area = f"{area_width:g}x{area_height:g}"
        raise BadImageError(Status.WRONG_SIZE, f"{width}x{height} pixels have other proportions than GPano's {area}")
    scale = HEIGHT / full_height
    if top is None and area_height * scale < HEIGHT - ROUNDING:
        raise BadImageError(Status.WRONG_SIZE, "GPano lacks CroppedAreaTopPixels: the rows are unknown")
    rows = ((top or 0.0) * scale, ((top or 0.0) + area_height) * scale)
    if left + area_width > (1 + TOLERANCE) * full_width or rows[1] > HEIGHT + ROUNDING:
        raise BadImageError(Status.WRONG_SIZE, "GPano's cropped area goes beyond its whole panorama")
    near = (each for each in (WHOLE, STRIP) if max(abs(rows[0] - each[0]), abs(rows[1] - each[1])) <= ROUNDING)
    return next(near, rows)


def check_strip_shown(rows: Rows) -> None:
    """Raise BadImageError if a picture does not show the rows of SF-XL's crops."""
    if rows[0] > STRIP[0] + ROUNDING or rows[1] < STRIP[1] - ROUNDING:
        shown, needed = (" to ".join(f"{elevation_of(row):.1f}" for row in each) for each in (rows, STRIP))
        raise BadImageError(Status.PARTIAL_PANORAMA, f"shows elevations from {shown} degrees; crops need {needed}")


def elevation_of(row: float) -> float:
    """Return a row's degrees above the horizon."""
    return 90 - 180 * row / HEIGHT


def _size(xmp: Mapping[str, str], tag: str) -> float | None:
    """Return a size in pixels, None if it is missing, negative or not a number."""
    try:
        size = float(xmp[f"GPano:{tag}"])
    except (KeyError, ValueError):
        return None
    return size if 0 <= size < math.inf else None


def _is_close(ratio: float, other: float) -> bool:
    return math.isclose(ratio, other, rel_tol=TOLERANCE)
