"""Read a JPEG's header and decode it with libjpeg, whose warnings count as errors. Damage raises BadImageError."""

from typing import IO

import simplejpeg
from PIL import Image

from pipeline.verification.bad_image import BadImageError, Status
from pipeline.verification.pillow_formats import Picture, decode_by_pillow

START, END = b"\xff\xd8", b"\xff\xd9"
SCAN, APP1, FILL = 0xDA, 0xE1, 0xFF
WITHOUT_CONTENT = (0x01, *range(0xD0, 0xD8))
FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
UNSUPPORTED_FRAMES = (0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))  # lossless, arithmetic, ...
MODES = {1: "L", 3: "RGB", 4: "CMYK"}
EXIF = b"Exif\0\0"
ORIENTATION = 0x0112
MAX_REDUCTION = 8  # libjpeg decodes an eighth of each side faster, and checks all bits as strictly
UNKNOWN_SUBSAMPLING = "subsampling"  # TurboJPEG's interface refuses what libjpeg, and so Pillow, decodes


def read_jpeg_header(file: IO[bytes]) -> Picture:
    """Return what the segments before the first scan say."""
    frame, notes = None, list[str]()
    file.seek(len(START))
    while True:
        marker, segment = _read_segment(file)
        if marker in FRAMES:
            frame = _parse_frame(segment)
        elif marker in UNSUPPORTED_FRAMES:
            raise BadImageError(Status.UNSUPPORTED, f"rare kind of JPEG (SOF{marker - FRAMES[0]})")
        elif marker == APP1 and segment.startswith(EXIF):
            notes += _note_orientation(segment)
        elif marker == SCAN:
            if frame is None:
                raise BadImageError(Status.CORRUPT, "no frame before the first scan")
            return Picture(*frame, tuple(notes), data_begin=file.tell())


def _read_segment(file: IO[bytes]) -> tuple[int, bytes]:
    """Return the marker and the content of the next segment that has content."""
    lead, marker = _read(file, 2)
    while lead == FILL and marker in (FILL, *WITHOUT_CONTENT):
        lead, marker = (FILL, *_read(file, 1)) if marker == FILL else _read(file, 2)
    length = int.from_bytes(_read(file, 2)) - 2
    if lead != FILL or marker in (0, END[1]) or length < 0:
        raise BadImageError(Status.CORRUPT, f"no segment at byte {file.tell() - 4:,}")
    return marker, _read(file, length)


def _read(file: IO[bytes], length: int) -> bytes:
    content = file.read(length)
    if len(content) < length:
        raise BadImageError(Status.TRUNCATED, f"ends within its header, after {file.tell():,} bytes")
    return content


def _parse_frame(frame: bytes) -> tuple[int, int, str]:
    """Return width, height and mode."""
    if len(frame) < 6:
        raise BadImageError(Status.CORRUPT, "incomplete frame header")
    precision, components = frame[0], frame[5]
    height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
    if precision != 8:
        raise BadImageError(Status.UNSUPPORTED, f"JPEG of {precision} bits per sample")
    if components not in MODES or not width or not height:
        raise BadImageError(Status.CORRUPT, f"{width}x{height} pixels of {components} components")
    return width, height, MODES[components]


def _note_orientation(segment: bytes) -> list[str]:
    exif = Image.Exif()
    try:
        exif.load(segment)
        orientation = exif.get(ORIENTATION, 1)
    except Exception:  # Pillow raises many kinds on broken EXIF, which does not affect the pixels
        return []
    return [f"EXIF orientation {orientation}: stored rotated"] if orientation in range(2, 9) else []


def decode_jpeg(content: bytes, picture: Picture) -> None:
    """Decode a JPEG whose header was read."""
    space = "CMYK" if picture.mode == "CMYK" else "GRAY"  # grey: the bits of the colours are still checked
    try:
        simplejpeg.decode_jpeg(content, space, min_height=1, min_width=1, min_factor=MAX_REDUCTION, strict=True)
    except ValueError as error:
        if UNKNOWN_SUBSAMPLING not in str(error):
            raise BadImageError(Status.CORRUPT, str(error)) from error
        decode_by_pillow(content, picture)
