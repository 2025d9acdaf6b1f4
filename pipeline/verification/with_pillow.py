"""Images of any kind that Pillow knows, and what it says where it cannot go on."""

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError

from data_manifest.errors import is_io_error
from data_manifest.images.heif import NEEDS_HEIF
from data_manifest.images.open_picture import open_picture
from pipeline.verification.image_parts import BadImageError, BytesAt, Picture, Status

SHOWN_BYTES = 12
GIF_END = b";"
DAMAGE = (OSError, SyntaxError, ValueError, IndexError, KeyError, EOFError, struct.error, zlib.error, MemoryError)


def read_header(at: BytesAt, size: int) -> Picture:
    """Return what an image is, before its pixels are decoded.

    Raises:
        BadImageError: It is none, or a bomb.
    """
    content = at(0, size)
    try:
        with open_picture(io.BytesIO(content)) as image:
            if image.format == "GIF" and not content.rstrip(b"\0").endswith(GIF_END):
                raise BadImageError(Status.TRUNCATED, f"no end in {size:,} bytes")  # Pillow takes the frames there are
            notes = (f"a {image.format} by its content", *animated(getattr(image, "n_frames", 1)))
            return Picture(*image.size, image.mode, notes)
    except UnidentifiedImageError as error:
        why = NEEDS_HEIF if str(error) == NEEDS_HEIF else f"begins with {content[:SHOWN_BYTES]!r}"
        raise BadImageError(Status.NOT_AN_IMAGE, why) from None
    except Image.DecompressionBombError as error:
        raise BadImageError(Status.BOMB, str(error)) from error
    except DAMAGE as error:
        raise BadImageError(Status.CORRUPT, _in_words(error)) from error


def decode(content: bytes, picture: Picture) -> None:
    """Decode an image.

    Raises:
        BadImageError: Pillow could not.
    """
    with told(), open_picture(io.BytesIO(content)) as image:
        image.load()


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Have what Pillow raises where it cannot go on as what is wrong with the image.

    Raises:
        BadImageError: It is damaged, or none.
        OSError: The machine does not give its bytes.
    """
    try:
        yield
    except UnidentifiedImageError as error:
        why = NEEDS_HEIF if str(error) == NEEDS_HEIF else "of no kind that Pillow knows"
        raise BadImageError(Status.NOT_AN_IMAGE, why) from error
    except Image.DecompressionBombError as error:
        raise BadImageError(Status.BOMB, _in_words(error)) from error
    except DAMAGE as error:
        if isinstance(error, OSError) and is_io_error(error):
            raise
        status = Status.TRUNCATED if "truncated" in str(error) else Status.CORRUPT
        raise BadImageError(status, _in_words(error)) from error


def animated(frames: int) -> tuple[str, ...]:
    """Return a note on an image that moves."""
    return (f"{frames} frames: the first is taken",) if frames > 1 else ()


def _in_words(error: BaseException) -> str:
    return str(error) or type(error).__name__
