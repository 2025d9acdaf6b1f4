"""Receive photos and open them, in memory: nothing is written to disk."""

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser

from fastapi import HTTPException, Request
from PIL import Image, UnidentifiedImageError

from data_manifest.errors import UserError
from data_manifest.images.heif import can_read_heif
from data_manifest.images.open_picture import open_picture
from evaluation.descriptors.open_image import decoded
from serve.answers import Place
from serve.settings import Limits

NAMES = {"JPEG": "JPEG", "PNG": "PNG", "WEBP": "WebP", "HEIF": "HEIC"}  # of Pillow's formats
MAX_NAME = 200  # characters
MAX_ASPECT = 10
FORM = "multipart/form-data"
MAX_FIELDS = 100  # of a form, besides the photos
OVERHEAD = 2_000  # bytes per part of a form, besides the photo
UNNAMED = "photo"
SMALL_SIDE = 320  # pixels of the longer side of a kept photo
QUALITY = 80  # of WebP
ReadPosition = Callable[[Image.Image], Place | None]


@dataclass(frozen=True)
class Upload:
    """A photo as it was sent."""

    name: str
    content: bytes | bytearray


def readable_formats() -> dict[str, str]:
    """Return the accepted formats of Pillow, with their names for users."""
    return {form: name for form, name in NAMES.items() if name != "HEIC" or can_read_heif()}


def check_head(request: Request, limits: Limits) -> None:
    """Check the type and the stated length of a request before its body is read.

    Raises:
        HTTPException: 411 without a length, 413 beyond the limits, 415 for another type.
    """
    stated, kind = request.headers.get("content-length", ""), _content_type(request).get_content_type()
    if not (kind == FORM or kind.startswith("image/") or kind == "application/octet-stream"):
        raise HTTPException(415, f"Send photos as files of {FORM}, or one photo as image/jpeg")
    if not stated.isdecimal():
        raise HTTPException(411, "Send the header Content-Length")
    photos = limits.photos if kind == FORM else 1
    length, most = int(stated), photos * (limits.photo_bytes + OVERHEAD)
    if length > most:
        allowed = f"{photos} photos of {limits.megabytes} MB" if photos > 1 else f"a photo of {limits.megabytes} MB"
        raise HTTPException(413, f"The request has {length:,} bytes, but {most:,} are allowed: {allowed}")


async def read_body(request: Request, seconds: float, take: Callable[[int], None]) -> bytearray:
    """Return the body of a request; `take` is called with the size of each chunk.

    Raises:
        HTTPException: 408 if it takes too long.
        FullError: `take` has no room.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                take(len(chunk))
                body += chunk
    except TimeoutError:
        raise HTTPException(408, f"The request did not arrive within {seconds:g} seconds") from None
    return body


def photos_in(request: Request, body: bytearray, limits: Limits) -> list[Upload]:
    """Return the photos of a request: the files of a form, or the body itself.

    Raises:
        HTTPException: 400 without a photo, 413 for too many.
    """
    header = _content_type(request)
    if header.get_content_type() != FORM:
        return [Upload(UNNAMED, body)]
    photos = _files_in(body, str(header.get_boundary() or ""), limits.photos + MAX_FIELDS)
    if not photos:
        raise HTTPException(400, f"The form has no file. Send each photo as a file of {FORM}")
    if len(photos) > limits.photos:
        raise HTTPException(413, f"{len(photos):,} photos in a request, but {limits.photos} are allowed")
    return photos


def _content_type(request: Request) -> Message:
    header = Message()
    header["Content-Type"] = request.headers.get("content-type", "")
    return header


def _files_in(body: bytearray, boundary: str, max_parts: int) -> list[Upload]:
    """Return the files of a form (RFC 7578), whose parts are separated by a boundary."""
    if not boundary:
        raise HTTPException(400, f"{FORM} without a boundary")
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"), max_parts + 1)
    if len(parts) > max_parts:
        raise HTTPException(413, f"The form has more than {max_parts} parts")
    if not parts or not parts[-1].startswith(b"--"):
        raise HTTPException(400, "The form is incomplete: its last boundary is missing")
    files = []
    for part in parts[:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        if len(head) > OVERHEAD:
            raise HTTPException(400, f"A part of the form has headers of more than {OVERHEAD:,} bytes")
        name = HeaderParser().parsestr(head.decode("utf-8", "replace").lstrip()).get_filename()
        if name is not None:  # else a field
            files.append(Upload(name[:MAX_NAME] or UNNAMED, content))
    return files


class OpenUpload:
    """Opens a photo for `Localizer.read`, as `open_image` does a file; reads its position, and makes a small copy.

    Args:
        photo: The photo.
        limits: The limits of photos.
        read_position: Returns the position in the EXIF of an opened image.
        keep: Whether to make the small copy.
    """

    def __init__(self, photo: Upload, limits: Limits, read_position: ReadPosition, keep: bool) -> None:
        self._photo, self._limits, self._read_position, self._keep = photo, limits, read_position, keep
        self.position: Place | None = None
        self.small: Image.Image | None = None

    def __call__(self, mode: str, min_side: int) -> Image.Image:
        """Return the photo decoded and upright, without its EXIF.

        Raises:
            UserError: It is too large, not an image, or damaged. The message can be shown to its sender.
        """
        content, limits, formats = self._photo.content, self._limits, readable_formats()
        if not content:
            raise UserError("The photo is empty (0 bytes)")
        if len(content) > limits.photo_bytes:
            raise UserError(f"The photo has {len(content):,} bytes, but {limits.megabytes} MB are allowed")
        try:
            with open_picture(io.BytesIO(content), formats) as opened:
                _check_size(*opened.size, limits)
                image = decoded(opened, mode, min_side)
                self.position = self._read_position(opened)
        except UserError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise UserError(_too_many(limits)) from None
        except UnidentifiedImageError:
            known = ", ".join(formats.values())
            raise UserError(f"Not an image, or not in a format that is read: {known}") from None
        except Exception:  # Pillow's decoders raise many types
            raise UserError("The photo is damaged or incomplete") from None
        if self._keep:
            self.small = image.copy()
            self.small.thumbnail((SMALL_SIDE, SMALL_SIDE))
        return image


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.megapixels * 1_000_000:
        raise UserError(f"{_too_many(limits)}, not {width:,} x {height:,}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise UserError(
            f"The photo has {width:,} x {height:,} pixels: one side may be at most {MAX_ASPECT} times the other"
        )


def _too_many(limits: Limits) -> str:
    return f"The photo has too many pixels: {limits.megapixels} million are allowed"


def as_webp(image: Image.Image) -> bytes:
    """Return an image as WebP."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY)
    return buffer.getvalue()
