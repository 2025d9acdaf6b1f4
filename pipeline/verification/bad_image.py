"""The verdicts on an image, and the error that carries one. Importing this does not load Pillow."""

from enum import StrEnum


class Status(StrEnum):
    """Result of the check of an image, with the reason if it is bad."""

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
    """An image cannot be used: `status` says why, `detail` what was found."""

    def __init__(self, status: Status, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
