"""A JPEG's structure: what its header says, and whether its end is there, without reading what lies between.

Damage that a decoder sees is told by libjpeg, strictly: where it would go on with a warning, the image is bad.
"""

from dataclasses import dataclass

import simplejpeg
from PIL import Image

from pipeline.verification import with_pillow
from pipeline.verification.image_parts import BadImageError, BytesAt, Picture, Status

START, END = b"\xff\xd8", b"\xff\xd9"
SCAN, APP1 = 0xDA, 0xE1
ALONE = (0x01, *range(0xD0, 0xD8))  # markers without a segment
FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive
OTHER_FRAMES = (0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))  # lossless, arithmetic, ...
MODES = {1: "L", 3: "RGB", 4: "CMYK"}
LAST_BLOCK = 4096
STRIDE = 1 << 20
EXIF = b"Exif\0\0"
ORIENTATION = 0x0112
SMALLEST = 8  # libjpeg makes an eighth of each side faster, and reads all bits for that just as strictly
NEEDS_PILLOW = "subsampling"  # of a kind that TurboJPEG's interface does not know, though libjpeg does


@dataclass(frozen=True)
class _Segment:
    marker: int
    begin: int  # of what follows the length
    length: int


def read_header(at: BytesAt, size: int) -> Picture:
    """Return what the segments before the first scan say.

    Raises:
        BadImageError: They end too soon, or cannot be.
    """
    position, picture, notes = len(START), None, list[str]()
    while True:
        segment = _segment_at(at, position, size)
        position = segment.begin + segment.length
        if segment.marker in FRAMES:
            picture = _frame(at(segment.begin, segment.length))
        elif segment.marker in OTHER_FRAMES:
            kind = f"JPEG of a kind that is seldom decoded (SOF{segment.marker - 0xC0})"
            raise BadImageError(Status.UNSUPPORTED, kind)
        elif segment.marker == APP1 and at(segment.begin, len(EXIF)) == EXIF:
            notes += _orientation(at(segment.begin, segment.length))
        elif segment.marker == SCAN:
            if picture is None:
                raise BadImageError(Status.CORRUPT, "no frame before the first scan")
            return Picture(picture.width, picture.height, picture.mode, tuple(notes), position)


def _segment_at(at: BytesAt, position: int, size: int) -> _Segment:
    """Return the next segment; markers without one, and fill bytes, are passed over."""
    while True:
        head = at(position, 4)
        if len(head) < 4:
            raise BadImageError(Status.TRUNCATED, f"ends within its header, after {size:,} bytes")
        if head[0] != 0xFF or head[1] == 0:
            raise BadImageError(Status.CORRUPT, f"no marker at byte {position:,}")
        if head[1] == 0xFF:
            position += 1
        elif head[1] in ALONE:
            position += 2
        else:
            break
    length = int.from_bytes(head[2:4], "big") - 2
    if head[1:2] == END[1:] or length < 0:
        raise BadImageError(Status.CORRUPT, f"impossible segment at byte {position:,}")
    if position + 4 + length > size:
        raise BadImageError(Status.TRUNCATED, f"ends within its header, after {size:,} bytes")
    return _Segment(head[1], position + 4, length)


def _frame(segment: bytes) -> Picture:
    if len(segment) < 6:
        raise BadImageError(Status.CORRUPT, "impossible frame header")
    precision, components = segment[0], segment[5]
    height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    if precision != 8:
        raise BadImageError(Status.UNSUPPORTED, f"JPEG of {precision} bits a sample")
    if components not in MODES or not width or not height:
        raise BadImageError(Status.CORRUPT, f"{width}x{height} pixels of {components} components")
    return Picture(width, height, MODES[components])


def _orientation(segment: bytes) -> list[str]:
    """Return a note where EXIF has a viewer turn the image."""
    exif = Image.Exif()
    try:
        exif.load(segment)
        orientation = exif.get(ORIENTATION, 1)
    except Exception:  # whatever broken EXIF makes Pillow raise: it is no part of the picture
        return []
    return [f"EXIF orientation {orientation}: stored turned"] if orientation in range(2, 9) else []


def check_end(at: BytesAt, size: int, picture: Picture) -> None:
    """Check that the end marker is there, be it with other bytes after it.

    It is looked for in the last block, and only where that has none, as where a phone's video follows, in all of the
    scans. There it cannot be by chance, for FF is written as FF 00; in the header, a preview has one of its own.

    Raises:
        BadImageError: It is not.
    """
    begin = max(picture.data_begin, size - LAST_BLOCK)
    if END in at(begin, size - begin):
        return
    for begin in range(picture.data_begin, size, STRIDE):
        if END in at(begin, STRIDE + 1):
            return
    raise BadImageError(Status.TRUNCATED, f"no end marker in {size:,} bytes")


def decode(content: bytes, picture: Picture) -> None:
    """Decode a JPEG whose structure was checked.

    Raises:
        BadImageError: libjpeg met something that cannot be.
    """
    space = "CMYK" if picture.mode == "CMYK" else "GRAY"  # of the colours as well, all bits are read
    try:
        simplejpeg.decode_jpeg(content, space, min_height=1, min_width=1, min_factor=SMALLEST, strict=True)
    except ValueError as error:
        if NEEDS_PILLOW in str(error):
            with_pillow.decode(content, picture)
            return
        raise BadImageError(Status.CORRUPT, str(error)) from error
