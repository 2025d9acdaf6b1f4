"""A PNG's structure: its chunks, each with a checksum, so that every flipped bit is found."""

import zlib
from collections.abc import Iterator

from pipeline.verification import with_pillow
from pipeline.verification.image_parts import BadImageError, BytesAt, Picture, Status, bytes_of

START, END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"
HEADER_LENGTH, FRAME = 13, 12  # a chunk has its length and name before its data, and its checksum after
MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
LAST_BLOCK = 4096


def read_header(at: BytesAt, size: int) -> Picture:
    """Return what the chunks before the pixels say.

    Raises:
        BadImageError: They end too soon, or cannot be.
    """
    picture, notes = None, list[str]()
    for name, begin, length in _chunks(at, size):
        if name == b"IHDR":
            picture = _header(at(begin, length + 4))
            notes += ["16 bits a sample"] if at(begin + 8, 1) == b"\x10" else []
        elif name == b"acTL":
            notes += with_pillow.animated(int.from_bytes(at(begin, 4), "big"))
        elif picture is None:
            raise BadImageError(Status.CORRUPT, f"begins with the chunk {name!r}")
        elif name == b"IDAT":
            return Picture(picture.width, picture.height, picture.mode, tuple(notes), begin)
    raise BadImageError(Status.TRUNCATED, f"no pixels in {size:,} bytes")


def _chunks(at: BytesAt, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Give the name, the begin of the data and its length of each chunk."""
    position = len(START)
    while position < size:
        head = at(position, 8)
        length = int.from_bytes(head[:4], "big")
        if len(head) < 8 or position + FRAME + length > size:
            raise BadImageError(Status.TRUNCATED, f"ends within the chunk at byte {position:,}")
        yield head[4:], position + 8, length
        if head[4:] == b"IEND":
            return
        position += FRAME + length
    raise BadImageError(Status.TRUNCATED, f"no end chunk in {size:,} bytes")


def _header(chunk: bytes) -> Picture:
    data = chunk[:HEADER_LENGTH]
    if len(chunk) != HEADER_LENGTH + 4 or zlib.crc32(b"IHDR" + data) != int.from_bytes(chunk[HEADER_LENGTH:], "big"):
        raise BadImageError(Status.CORRUPT, "wrong checksum of the chunk IHDR")
    width, height, depth, colours = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big"), data[8], data[9]
    if not width or not height or colours not in MODES:
        raise BadImageError(Status.CORRUPT, f"{width}x{height} pixels of colour type {colours}")
    grey = {1: "1", 16: "I;16"} if colours == 0 else {}
    return Picture(width, height, grey.get(depth, MODES[colours]))


def check_end(at: BytesAt, size: int, picture: Picture) -> None:
    """Check that the end chunk is there, be it with other bytes after it.

    Raises:
        BadImageError: It is not.
    """
    begin = max(0, size - LAST_BLOCK)
    if END not in at(begin, size - begin):
        for _ in _chunks(at, size):
            pass


def decode(content: bytes, picture: Picture) -> None:
    """Compare the checksums of all chunks, and decode.

    Raises:
        BadImageError: There is damage.
    """
    view = memoryview(content)
    for name, begin, length in _chunks(bytes_of(content), len(content)):
        written = int.from_bytes(view[begin + length : begin + length + 4], "big")
        if zlib.crc32(view[begin - 4 : begin + length]) != written:
            raise BadImageError(Status.CORRUPT, f"wrong checksum of the chunk {name!r} at byte {begin - 8:,}")
    with_pillow.decode(content, picture)
