"""Read headers of PNGs and other formats with Pillow and decode them. Damage raises BadImageError."""

import contextlib
import io
import os
from collections.abc import Iterator
from typing import IO, NamedTuple

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile

from data_manifest.errors import is_io_error
from data_manifest.images.heif import NEEDS_HEIF
from data_manifest.images.open_picture import open_picture
from pipeline.verification.bad_image import BadImageError, Status

PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"
PNG_DEPTH_AT = 24  # byte of the bits per sample
GIF_END = b";"
SHOWN_BYTES = 12


class Picture(NamedTuple):
    """The header of an image file: its size as stored, and what is unusual."""

    width: int
    height: int
    mode: str  # of Pillow
    notes: tuple[str, ...] = ()
    data_begin: int = 0  # offset of the pixels, if known

    @property
    def size(self) -> str:
        """The size in pixels, such as 512x512."""
        return f"{self.width}x{self.height}"


@contextlib.contextmanager
def pillow_errors(begin: bytes = b"") -> Iterator[None]:
    """Raise what Pillow raises on a bad image as BadImageError; `begin` is shown if Pillow does not know the format.

    Raises:
        BadImageError: The image is damaged, or not an image.
        OSError: The system cannot read the file.
    """
    try:
        yield
    except UnidentifiedImageError as error:
        unknown = f"begins with {begin!r}" if begin else "a format that Pillow does not know"
        detail = NEEDS_HEIF if str(error) == NEEDS_HEIF else unknown
        raise BadImageError(Status.NOT_AN_IMAGE, detail) from error
    except Image.DecompressionBombError as error:
        raise BadImageError(Status.BOMB, str(error)) from error
    except BadImageError:
        raise
    except Exception as error:  # Pillow raises many kinds on damaged files
        if isinstance(error, OSError) and is_io_error(error):
            raise
        status = Status.TRUNCATED if "truncated" in str(error).lower() else Status.CORRUPT
        raise BadImageError(status, str(error) or type(error).__name__) from error


def read_png_header(file: IO[bytes]) -> Picture:
    """Return what the chunks before the pixels say; Pillow compares their checksums."""
    file.seek(PNG_DEPTH_AT)
    notes = ["16 bits per sample"] if file.read(1) == b"\x10" else []
    file.seek(0)
    try:
        with pillow_errors():
            image = PngImageFile(file)
    except BadImageError as error:
        if file.read(1):
            raise
        raise BadImageError(Status.TRUNCATED, f"ends within its header, after {file.tell():,} bytes") from error
    if not image.tile:
        raise BadImageError(Status.TRUNCATED, "no pixels")
    begin = image.tile[0].offset
    file.seek(begin - 8)
    if begin + int.from_bytes(file.read(4)) > file.seek(0, os.SEEK_END):
        raise BadImageError(Status.TRUNCATED, f"ends within the chunk at byte {begin - 8:,}")
    notes += _note_frames(image.n_frames)
    return Picture(*image.size, image.mode, tuple(notes), data_begin=begin)


def decode_png(content: bytes, picture: Picture) -> None:
    """Compare the checksums of all chunks, and decode."""
    with pillow_errors():
        PngImageFile(io.BytesIO(content)).verify()
        PngImageFile(io.BytesIO(content)).load()


def read_other_header(file: IO[bytes]) -> Picture:
    """Return what Pillow reads before it decodes the pixels."""
    content = file.read()
    with pillow_errors(content[:SHOWN_BYTES]), open_picture(io.BytesIO(content)) as image:
        if image.format == "GIF" and not content.rstrip(b"\0").endswith(GIF_END):  # Pillow accepts it
            raise BadImageError(Status.TRUNCATED, f"no end in {len(content):,} bytes")
        notes = (f"a {image.format} by its content", *_note_frames(getattr(image, "n_frames", 1)))
        return Picture(*image.size, image.mode, notes)


def decode_by_pillow(content: bytes, picture: Picture) -> None:
    """Decode an image of any format."""
    with pillow_errors(), open_picture(io.BytesIO(content)) as image:
        image.load()


def _note_frames(frames: int) -> list[str]:
    return [f"{frames} frames: only the first is used"] if frames > 1 else []
