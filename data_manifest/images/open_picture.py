"""Open images as the network sees them: upright, with 8 bits per sample.

Training and evaluation share these rules.
"""

import io
from collections.abc import Collection
from pathlib import Path
from typing import IO, TYPE_CHECKING

from PIL import ExifTags, Image, UnidentifiedImageError

from data_manifest.images.heif import NEEDS_HEIF, can_read_heif, is_heif

if TYPE_CHECKING:
    import numpy as np

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
COLOUR_SPACES = ("YCbCr", "Gray", "RGB")  # decoded by simplejpeg; others, such as CMYK, by Pillow
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


def decode_strictly(content: bytes) -> "np.ndarray":
    """Return the pixels of an image, upright: [h, w, 3], uint8; never with damaged parts filled in grey.

    Pillow fills damaged parts of a JPEG with grey; simplejpeg with `strict` raises an error. Rare kinds of JPEG only
    Pillow decodes: for these, a missing end marker reveals truncation.

    Raises:
        Exception: The image is damaged, or not an image; of many kinds.
    """
    import numpy as np  # late, as simplejpeg: torch.hub does not require them
    import simplejpeg

    if content.startswith(JPEG_START):
        if _is_common(content):
            pixels: np.ndarray = simplejpeg.decode_jpeg(content, "RGB", strict=True)
            orientation = orientation_of_jpeg(content)
            return pixels if orientation == 1 else np.array(turned(Image.fromarray(pixels), orientation))
        if content.rfind(JPEG_END) < content.rfind(SCAN):
            raise ValueError("truncated: no end marker")
    else:
        with open_picture(io.BytesIO(content)) as image:
            image.verify()  # a PNG's checksums, which decoding may ignore
    with open_picture(io.BytesIO(content)) as image:
        return np.array(as_shown(image))


def _is_common(jpeg: bytes) -> bool:
    """Return whether simplejpeg decodes this kind of JPEG; it decodes more kinds than it has names for."""
    import simplejpeg

    try:
        return simplejpeg.decode_jpeg_header(jpeg)[2] in COLOUR_SPACES
    except KeyError:
        return True
    except ValueError as error:
        if "subsampling" in str(error):
            return False
        raise
