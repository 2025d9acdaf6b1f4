"""Open images as the network sees them: upright, with 8 bits per sample.

Training and evaluation share these rules.
"""

import io
from collections.abc import Collection
from pathlib import Path
from typing import IO

from PIL import ExifTags, Image, UnidentifiedImageError

from data_manifest.images.heif import NEEDS_HEIF, can_read_heif, is_heif

DEEP = "I;16"  # prefix of Pillow's 16-bit modes
SCAN = b"\xff\xda"  # marks the pixels of a JPEG
MARKS = (b"Exif\0\0", b"tiff:Orientation")  # rotated JPEGs contain one: EXIF or XMP
TURN = Image.Transpose
TURNS = {
    **{2: TURN.FLIP_LEFT_RIGHT, 3: TURN.ROTATE_180, 4: TURN.FLIP_TOP_BOTTOM, 5: TURN.TRANSPOSE},
    **{6: TURN.ROTATE_270, 7: TURN.TRANSVERSE, 8: TURN.ROTATE_90},
}


def open_picture(source: Path | str | bytes | IO[bytes], formats: Collection[str] | None = None) -> Image.Image:
    """Open an image file or its bytes, including HEIC if the extra `heif` is installed.

    Args:
        source: The path of the file, or the opened file.
        formats: Formats of Pillow to try; all by default.

    Raises:
        UnidentifiedImageError: The file is not an image, or is HEIC and the extra is missing.
        OSError: The file cannot be read. Pillow's decoders raise other kinds too.
    """
    with_heif = can_read_heif()
    try:
        return Image.open(source, formats=None if formats is None else list(formats))
    except UnidentifiedImageError as error:
        if not with_heif and is_heif(source):
            raise UnidentifiedImageError(NEEDS_HEIF) from None
        raise UnidentifiedImageError(str(error).replace(f" {source!r}", "")) from None  # callers name it


def as_shown(image: Image.Image, mode: str = "RGB") -> Image.Image:
    """Return an image upright, in a mode of Pillow: RGB, or L for grayscale."""
    image.load()  # Pillow rotates TIFFs here and clears the flag
    if image.mode.startswith(DEEP):  # Pillow would clip instead of scaling
        image = image.convert("I").point(lambda value: value / 256)
    return turned(image, orientation_of(image)).convert(mode)


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image stored in an EXIF orientation, 1 to 8, upright."""
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of an opened image; 1 if it has none or it cannot be read."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # broken EXIF makes Pillow raise many kinds
        return 1
    return found if isinstance(found, int) else 1


def orientation_of_jpeg(content: bytes) -> int:
    """Return the orientation of a JPEG, 1 if it has none; takes microseconds for a JPEG without one."""
    header = content[: content.find(SCAN)]  # up to the preview, if there is one
    if not any(mark in header for mark in MARKS):
        return 1
    with Image.open(io.BytesIO(content)) as image:
        return orientation_of(image)
