"""What checks of images have in common: what is wrong with one, what it looks like, and how its file is read."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

BLOCK = 4096  # what a disk reads at least
BytesAt = Callable[[int, int], bytes]  # from a position, so many, or fewer where the file ends


class Status(StrEnum):
    """Whether an image can be used, and why not."""

    OK = "ok"
    VANISHED = "vanished"
    ZERO_BYTES = "zero bytes"
    NOT_AN_IMAGE = "not an image"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    BOMB = "decompression bomb"
    UNSUPPORTED = "unsupported"
    WRONG_SIZE = "wrong size"
    PARTIAL_PANORAMA = "partial panorama"
    OTHER_PROJECTION = "other projection"
    CHECKSUM_DIFFERS = "checksum differs"


class BadImageError(Exception):
    """An image that cannot be used: its status, and in the message what was found."""

    def __init__(self, status: Status, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


@dataclass(frozen=True)
class Picture:
    """What an image looks like.

    Args:
        width: In pixels, as stored.
        height: Likewise.
        mode: Pillow's name for what a pixel has.
        notes: What is unusual, in words.
        data_begin: Where the pixels' data begins in the file, where that is known.
    """

    width: int
    height: int
    mode: str
    notes: tuple[str, ...] = ()
    data_begin: int = 0


class Blocks:
    """A file's bytes, read in blocks as they are asked for; the last one is kept."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._begin, self._block = descriptor, 0, b""
        self.bytes_read = 0

    def at(self, begin: int, length: int) -> bytes:
        """Return bytes from a position."""
        start = begin - self._begin
        if start < 0 or start + length > len(self._block):
            self._begin, start = begin, 0
            self._block = os.pread(self._descriptor, max(length, BLOCK), begin)
            self.bytes_read += len(self._block)
        return self._block[start : start + length]


def bytes_of(content: bytes) -> BytesAt:
    """Return the same for a file that was read whole."""
    return lambda begin, length: content[begin : begin + length]
