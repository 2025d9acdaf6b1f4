"""Cut a panorama into crops: windows of it, or the views of a level camera.

A panorama is equirectangular: columns are azimuths over 360 degrees with the heading at the centre column, rows are
elevations. A whole panorama is twice as wide as high; a strip, as in SF-XL, is rows 512 to 1023 of 3328x1664; another
height needs XMP that gives its rows. Crops begin at multiples of 360 / n degrees from the left edge, at the nearest
column: 0, 277, 555, 832 and so on for 12 crops of 3328 columns. Names have the exact angle.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from data_manifest.errors import io_error
from data_manifest.images.image_store import OpenedImage
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.images.open_picture import open_picture
from pipeline.metadata.fields import FULL_TURN
from pipeline.panoramas.extent import (
    HEIGHT,
    STRIP,
    STRIP_HEIGHT,
    WIDTH,
    Rows,
    check_strip_shown,
    elevation_of,
    rows_shown,
)
from pipeline.panoramas.settings import LEFT, PERSPECTIVE, CropSettings
from pipeline.sources.photo_metadata import read_xmp
from pipeline.verification.bad_image import BadImageError, Status
from pipeline.verification.pillow_formats import pillow_errors

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def read_panorama(opened: OpenedImage | OSError, path: ImagesFolder) -> tuple[Image.Image, int]:
    """Return the pixels and the modification time in ns of a panorama that its store opened.

    Raises:
        BadImageError: It is missing, corrupt or not an image.
        UserError: An I/O error.
    """
    if isinstance(opened, FileNotFoundError | NotADirectoryError):
        raise BadImageError(Status.VANISHED, "")
    try:
        with pillow_errors():
            if isinstance(opened, OSError):
                raise opened
            with open_picture(opened.file) as image:
                image.load()
                pixels = image if image.mode == "RGB" else image.convert("RGB")  # convert always copies
                return pixels, opened.modified_ns
    except OSError as error:
        raise io_error(str(path), error) from error


def crop_headings(heading: float, settings: CropSettings) -> list[float]:
    """Return the heading in each crop's name, in degrees in [0, 360)."""
    seen = settings.fov if settings.projection == PERSPECTIVE else FULL_TURN * STRIP_HEIGHT / WIDTH
    first = heading - FULL_TURN / 2 + (0.0 if settings.heading_of == LEFT else seen / 2)
    turned = (first + FULL_TURN * number / settings.crops_num for number in range(settings.crops_num))
    return [round(each % FULL_TURN, 2) % FULL_TURN for each in turned]


def cut(panorama: Image.Image, settings: CropSettings) -> Iterator[Image.Image]:
    """Yield the crops of a panorama, from its left edge on.

    Raises:
        BadImageError: It is not a panorama (see `rows_shown`), or shows too few rows for the crops.
    """
    rows = rows_shown(*panorama.size, read_xmp(panorama.info.get("xmp")))
    if settings.projection == PERSPECTIVE:
        yield from _views(panorama, rows, settings)
    else:
        yield from _windows(_strip_of(panorama, rows), settings)


def _strip_of(panorama: Image.Image, rows: Rows) -> Image.Image:
    if rows == STRIP:
        return panorama
    check_strip_shown(rows)
    scale = panorama.width / WIDTH
    top, bottom = (round((row - rows[0]) * scale) for row in STRIP)
    return panorama.crop((0, max(top, 0), panorama.width, min(bottom, panorama.height)))


def _windows(strip: Image.Image, settings: CropSettings) -> Iterator[Image.Image]:
    side, size = strip.height, (settings.crop_size, settings.crop_size)
    for number in range(settings.crops_num):
        left = round(number * strip.width / settings.crops_num)
        window = strip.crop((left, 0, left + side, side))
        if (beyond := left + side - strip.width) > 0:  # the seam: continue at the left edge
            window.paste(strip.crop((0, 0, beyond, side)), (side - beyond, 0))
        yield window if window.size == size else window.resize(size, Image.Resampling.LANCZOS)


def _views(panorama: Image.Image, rows: Rows, settings: CropSettings) -> Iterator[Image.Image]:
    """Yield the views of a level camera, in which vertical lines stay vertical.

    Its sensor is shifted where the rows do not reach as far up as down.
    """
    shrink = int(panorama.width * settings.fov / FULL_TURN / settings.crop_size)
    source = panorama.reduce(shrink) if shrink > 1 else panorama
    pixels = np.asarray(source)
    view = _view(pixels.shape[0], rows, settings)
    columns = view.azimuths / FULL_TURN * pixels.shape[1] - 0.5
    for number in range(settings.crops_num):
        yield Image.fromarray(_sample(pixels, view, columns + number * pixels.shape[1] / settings.crops_num))


@dataclass(frozen=True)
class _View:
    """View of a level camera in panoramas of one height, in any direction."""

    azimuths: Floats  # degrees from the left edge of the view, per column: [size]
    rows: tuple[int, int]  # the first row of the panorama that is seen, and the one after the last
    # Index of the samples above and below each pixel, among those of `rows` at the view's columns: [size * size].
    above: npt.NDArray[np.intp]
    below: npt.NDArray[np.intp]
    down: npt.NDArray[np.float32]  # fraction of the way from the sample above to the one below: [size * size, 1]


@functools.lru_cache(maxsize=8)  # panoramas have few sizes, and a view takes as long as a crop
def _view(height: int, shown: Rows, settings: CropSettings) -> _View:
    azimuths, elevations = _directions(_shift(shown, settings), settings)
    rows_of_whole = (90 - elevations) / 180 * HEIGHT
    rows = (rows_of_whole - shown[0]) / (shown[1] - shown[0]) * height - 0.5
    above = np.floor(rows).astype(np.intp)
    first, end = max(0, int(above.min())), min(height, int(above.max()) + 2)
    column = np.arange(settings.crop_size)
    points = [(np.clip(above + step, first, end - 1) - first) * settings.crop_size + column for step in (0, 1)]
    down = (rows - above).astype(np.float32).reshape(-1, 1)
    return _View(azimuths, (first, end), points[0].ravel(), points[1].ravel(), down)


def _directions(shift: float, settings: CropSettings) -> tuple[Floats, Floats]:
    """Return the azimuths of columns, [size], and the elevations of pixels."""
    half = math.tan(math.radians(settings.fov / 2))
    steps = (2 * (np.arange(settings.crop_size) + 0.5) / settings.crop_size - 1) * half
    right, up = steps[None, :], shift - steps[:, None]
    azimuths = np.degrees(np.arctan(steps)) + settings.fov / 2
    elevations = np.degrees(np.arctan2(up, np.hypot(right, 1.0)))
    return azimuths, elevations


def _shift(rows: Rows, settings: CropSettings) -> float:
    """Return the tangent of a view's middle elevation: 0 if the rows allow it.

    Raises:
        BadImageError: The field of view exceeds the rows.
    """
    top, bottom = (math.tan(math.radians(elevation_of(row))) for row in rows)
    max_fov = math.degrees(2 * math.atan((top - bottom) / 2))
    if settings.fov > max_fov:
        raise BadImageError(Status.WRONG_SIZE, f"a strip shows {max_fov:.1f} degrees, less than fov = {settings.fov:g}")
    if rows == STRIP:
        return (top + bottom) / 2
    half = math.tan(math.radians(settings.fov / 2))
    return min(max(0.0, bottom + half), top - half)


def _sample(pixels: Pixels, view: _View, columns: Floats) -> Pixels:
    """Return a view by bilinear interpolation, along rows (which wrap around) first.

    Pixels are [height, width, channels]; columns are the fractional panorama column of each column of the view, [size].
    """
    width, size = pixels.shape[1], len(columns)
    left = np.floor(columns).astype(np.intp)
    across = (columns - left).astype(np.float32)[:, None]
    seen = pixels[slice(*view.rows)]
    points = _between(seen.take(left % width, 1), seen.take((left + 1) % width, 1), across).reshape(-1, pixels.shape[2])
    sampled = _between(points.take(view.above, 0, mode="clip"), points.take(view.below, 0, mode="clip"), view.down)
    sampled += 0.5
    return sampled.astype(np.uint8).reshape(size, size, -1)


def _between(one: npt.NDArray[Any], other: npt.NDArray[Any], share: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the interpolation of two arrays; `other` is overwritten if float32."""
    begin, result = one.astype(np.float32, copy=False), other.astype(np.float32, copy=False)
    result -= begin
    result *= share
    result += begin
    return result
