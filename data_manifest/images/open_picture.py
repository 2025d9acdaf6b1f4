"""Pictures brought to what is shown to a network: upright, and in 8 bits a sample.

Training and evaluation read images by the same rules: else a network would be asked of others than it has learned from.
"""

import io
from pathlib import Path
from typing import IO

from PIL import ExifTags, Image, UnidentifiedImageError

from data_manifest.images.heif import NEEDS_HEIF, can_read_heif, is_heif

DEEP = "I;16"  # how the names of Pillow's modes of 16 bits begin
SCAN = b"\xff\xda"  # where the pixels of a JPEG begin
MARKS = (b"Exif\0\0", b"tiff:Orientation")  # a JPEG that is to be turned holds one of them: EXIF's, or XMP's
TURN = Image.Transpose
TURNS = {
    **{2: TURN.FLIP_LEFT_RIGHT, 3: TURN.ROTATE_180, 4: TURN.FLIP_TOP_BOTTOM, 5: TURN.TRANSPOSE},
    **{6: TURN.ROTATE_270, 7: TURN.TRANSVERSE, 8: TURN.ROTATE_90},
}


def open_picture(source: Path | str | bytes | IO[bytes]) -> Image.Image:
    """Open an image file or its content, HEIC included if the extra `heif` is installed.

    Raises:
        UnidentifiedImageError: The file is not an image, or is HEIC without the extra: the message has the remedy.
        OSError: The file cannot be read; Pillow's decoders raise other kinds too.
    """
    with_heif = can_read_heif()
    try:
        return Image.open(source)
    except UnidentifiedImageError:
        if not with_heif and is_heif(source):
            raise UnidentifiedImageError(NEEDS_HEIF) from None
        raise


def as_shown(image: Image.Image, mode: str = "RGB") -> Image.Image:
    """Return a picture as its orientation flag wants it to be seen, in a mode of Pillow's: RGB, or L for greys."""
    image.load()  # Pillow turns a TIFF then, and takes the flag away
    if image.mode.startswith(DEEP):  # to be scaled: Pillow would make all above 255 white
        image = image.convert("I").point(lambda value: value / 256)
    return turned(image, orientation_of(image)).convert(mode)


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return a picture that is stored in an orientation of EXIF's, 1 to 8, upright."""
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def orientation_of(image: Image.Image) -> int:
    """Return the orientation flag of an opened picture, 1 where it has none that can be read."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # broken EXIF makes Pillow raise many kinds: it is no part of the picture
        return 1
    return found if isinstance(found, int) else 1


def orientation_of_jpeg(content: bytes) -> int:
    """Return a JPEG's orientation flag, 1 where it has none: that it has none, microseconds tell."""
    header = content[: content.find(SCAN)]  # or, of one with a preview, what comes before that: EXIF's mark does
    if not any(mark in header for mark in MARKS):
        return 1
    with Image.open(io.BytesIO(content)) as image:
        return orientation_of(image)
