"""Check one image: is it there, complete, and can it be decoded?

`header` reads the first and the last block, `decode` everything; both find truncation. A decoder finds few flipped bits
in a JPEG (benchmarks/RESULTS.md has the rate) and all in a PNG, which has checksums. A list of checksums finds all.
"""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, NamedTuple

from data_manifest.errors import is_io_error
from data_manifest.images.image_store import BLOCK, OpenedImage
from pipeline.verification import jpeg_format as jpeg
from pipeline.verification import pillow_formats as pillow
from pipeline.verification.bad_image import BadImageError, Status
from pipeline.verification.checksum_lists import checksum_of
from pipeline.verification.pillow_formats import Picture
from pipeline.verification.settings import DECODE, NOT_LISTED, VerifySettings


class Format(NamedTuple):
    """Checks of the files of an image format; `end` is empty where only decoding finds truncation."""

    name: str
    suffixes: tuple[str, ...]
    end: bytes
    read_header: Callable[[IO[bytes]], Picture]
    decode: Callable[[bytes, Picture], None]


JPEG = Format("JPEG", (".jpg", ".jpeg"), jpeg.END, jpeg.read_jpeg_header, jpeg.decode_jpeg)
PNG = Format("PNG", (".png",), pillow.PNG_END, pillow.read_png_header, pillow.decode_png)
OTHER = Format("", ("",), b"", pillow.read_other_header, pillow.decode_by_pillow)


@dataclass
class Checked:
    """The verdict on an image; all fields but the last are columns of the checks table."""

    width: int | None = None
    height: int | None = None
    mode: str | None = None
    bytes: int | None = None
    modified_ns: int | None = None
    status: Status = Status.OK
    detail: str | None = None
    bytes_read: int = 0


def check_image(
    path: str,
    opened: OpenedImage | OSError,
    check: str = DECODE,
    settings: VerifySettings | None = None,
    checksum: str | None = None,
) -> Checked:
    """Return the verdict on an image.

    Args:
        path: Its path, whose suffix should be that of its format.
        opened: The image opened by its store, or the reason why it cannot be opened.
        check: "header" or "decode".
        settings: Further requirements.
        checksum: Its checksum in a list, if any.

    Raises:
        OSError: The system cannot read the file (permissions, disk failure, ...), which does not make the image bad.
    """
    checked = Checked()
    try:
        if isinstance(opened, OSError):
            raise opened
        _check(path, opened, check == DECODE, settings or VerifySettings(), checksum, checked)
    except BadImageError as error:
        checked.status, checked.detail = error.status, error.detail
    except (FileNotFoundError, NotADirectoryError):
        checked.status = Status.VANISHED
    except OSError as error:
        if is_io_error(error):
            raise
        checked.status, checked.detail = Status.NOT_AN_IMAGE, error.strerror or str(error)
    return checked


def _check(
    path: str, opened: OpenedImage, decode: bool, settings: VerifySettings, checksum: str | None, checked: Checked
) -> None:
    """Fill in the fields of `checked` until the image turns out to be bad, which raises BadImageError."""
    checked.bytes, checked.modified_ns = opened.bytes, opened.modified_ns
    form = _format_of(opened.file.peek())
    decode |= form is OTHER
    content = opened.file.read() if decode or checksum else b""
    file: IO[bytes] = io.BytesIO(content) if content else opened.file
    picture = form.read_header(file)
    checked.width, checked.height, checked.mode = picture.width, picture.height, picture.mode
    if picture.width * picture.height > settings.max_pixels:
        raise BadImageError(Status.BOMB, f"{picture.size} is more than max_pixels = {settings.max_pixels}")
    checked.bytes_read = opened.file.raw.tell()
    bytes_at_end = _check_end(file, picture.data_begin, form.end)
    checked.bytes_read += 0 if content else bytes_at_end
    if decode:
        form.decode(content, picture)
    if checksum and (found := checksum_of(content, checksum)) != checksum:
        raise BadImageError(Status.CHECKSUM_DIFFERS, f"{found}, not {checksum}")
    if settings.expected_size not in (None, picture.size):
        raise BadImageError(Status.WRONG_SIZE, f"{picture.size}, not {settings.expected_size}")
    suffix_note = "" if path.lower().endswith(form.suffixes) else f"a {form.name} by its content"
    listing_note = NOT_LISTED if settings.checksum and checksum is None else ""
    checked.detail = "; ".join(filter(None, (suffix_note, *picture.notes, listing_note))) or None


def _format_of(head: bytes) -> Format:
    if not head:
        raise BadImageError(Status.ZERO_BYTES, "an empty file")
    if head.startswith(jpeg.START):
        return JPEG
    return PNG if head.startswith(pillow.PNG_START) else OTHER


def _check_end(file: IO[bytes], data_begin: int, end: bytes) -> int:
    """Check that the end marker is there, and return the number of bytes read.

    Bytes may follow it, such as a phone's video: where the last block has no marker, everything after the header is
    searched. Within the pixels the marker cannot occur; a preview in the header has one of its own.
    """
    size, bytes_read = file.seek(0, os.SEEK_END), 0
    for begin in (max(data_begin, size - BLOCK), data_begin):
        file.seek(begin)
        content = file.read()
        bytes_read += len(content)
        if end in content:
            return bytes_read
    raise BadImageError(Status.TRUNCATED, f"no end marker in {size:,} bytes")
