"""Check one image: is it there, whole, and what a decoder takes?

`header` reads the blocks that tell, `decode` everything. A truncation is found by both. Of flipped bits a decoder finds
few in a JPEG, whose codes mostly stay possible codes (benchmarks/RESULTS.md has the rate); all of them in a PNG, which
has checksums; and a list of checksums finds all in any file.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from data_manifest.errors import is_io_error
from pipeline.verification import jpeg_format as jpeg
from pipeline.verification import png_format as png
from pipeline.verification import with_pillow
from pipeline.verification.checksum_lists import checksum_of
from pipeline.verification.image_parts import BadImageError, Blocks, BytesAt, Picture, Status, bytes_of
from pipeline.verification.settings import DECODE, VerifySettings


@dataclass(frozen=True)
class Format:
    """How the files of a kind are looked at.

    Args:
        name: What the kind is called.
        suffixes: How such files are named.
        read_header: Returns what the header says, given bytes by their position, and the size of the file.
        check_end: Looks for the end, given also what the header said.
        decode: Decodes the whole content.
    """

    name: str
    suffixes: tuple[str, ...]
    read_header: Callable[[BytesAt, int], Picture]
    check_end: Callable[[BytesAt, int, Picture], None]
    decode: Callable[[bytes, Picture], None]


JPEG = Format("JPEG", (".jpg", ".jpeg"), jpeg.read_header, jpeg.check_end, jpeg.decode)
PNG = Format("PNG", (".png",), png.read_header, png.check_end, png.decode)
# Nothing short of decoding tells whether these are whole.
OTHER = Format("", (), with_pillow.read_header, lambda at, size, picture: None, with_pillow.decode)


@dataclass(frozen=True)
class Checked:
    """What was found; all fields but the last are those of a row of the checks table."""

    width: int | None
    height: int | None
    mode: str | None
    bytes: int | None
    modified_ns: int | None
    status: Status
    detail: str | None
    bytes_read: int


@dataclass
class _Seen:
    """What is known of an image so far, whatever comes next."""

    picture: Picture | None = None
    bytes: int | None = None
    modified_ns: int | None = None
    bytes_read: int = 0
    notes: list[str] = field(default_factory=list)


def check_image(
    path: str, check: str = DECODE, settings: VerifySettings | None = None, checksum: str | None = None
) -> Checked:
    """Return what is found out about an image, whatever is wrong with it.

    Args:
        path: The image.
        check: "header" or "decode".
        settings: What else makes an image a bad one.
        checksum: What a list says of the file's content, if it says anything.

    Raises:
        OSError: The machine does not give its bytes, which says nothing of the image.
    """
    seen, status, detail = _Seen(), Status.OK, None
    try:
        _look(path, check == DECODE, settings or VerifySettings(), checksum, seen)
    except BadImageError as error:
        status, detail = error.status, error.detail
    except (FileNotFoundError, NotADirectoryError):
        status = Status.VANISHED
    except OSError as error:
        if is_io_error(error):
            raise
        status, detail = Status.NOT_AN_IMAGE, error.strerror or str(error)
    picture = seen.picture
    if picture is not None and status is Status.OK:
        detail = "; ".join((*seen.notes, *picture.notes)) or None
    return Checked(
        width=picture.width if picture else None,
        height=picture.height if picture else None,
        mode=picture.mode if picture else None,
        bytes=seen.bytes,
        modified_ns=seen.modified_ns,
        status=status,
        detail=detail,
        bytes_read=seen.bytes_read,
    )


def _look(path: str, decode: bool, settings: VerifySettings, checksum: str | None, seen: _Seen) -> None:
    """Fill in what is seen of an image.

    Raises:
        BadImageError: It is a bad one.
        OSError: The system does not give its bytes.
    """
    with open(path, "rb", buffering=0, opener=_open_at_once) as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise BadImageError(Status.NOT_AN_IMAGE, "no regular file")
        seen.bytes, seen.modified_ns = state.st_size, state.st_mtime_ns
        blocks = Blocks(file.fileno())
        kind = _format_of(blocks.at(0, len(png.START)))
        decode |= kind is OTHER
        content = file.readall() if decode or checksum else b""
        at = bytes_of(content) if content else blocks.at
        try:
            seen.picture = picture = kind.read_header(at, state.st_size)
            _check_pixels(picture, settings)
            kind.check_end(at, state.st_size, picture)
        finally:
            seen.bytes_read = len(content) or blocks.bytes_read
    if kind is not OTHER and not path.lower().endswith(kind.suffixes):
        seen.notes.append(f"a {kind.name} by its content")
    if decode:
        kind.decode(content, picture)
    if checksum and (found := checksum_of(content, checksum)) != checksum:
        raise BadImageError(Status.CHECKSUM_DIFFERS, f"{found}, not {checksum}")
    if settings.size not in (None, (picture.width, picture.height)):
        raise BadImageError(Status.WRONG_SIZE, f"{picture.width}x{picture.height}, not {settings.expected_size}")


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe would be waited for


def _format_of(head: bytes) -> Format:
    if not head:
        raise BadImageError(Status.ZERO_BYTES, "an empty file")
    if head.startswith(jpeg.START):
        return JPEG
    return PNG if head == png.START else OTHER


def _check_pixels(picture: Picture, settings: VerifySettings) -> None:
    if picture.width * picture.height > settings.max_pixels:
        size = f"{picture.width}x{picture.height}"
        raise BadImageError(Status.BOMB, f"{size} is more than max_pixels = {settings.max_pixels}")
