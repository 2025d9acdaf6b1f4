"""HEIC images, which phones save; reading them needs the extra `heif`."""

import functools
import re
from pathlib import Path
from typing import IO

HEIF_SUFFIXES = (".heic", ".heif")
NAMED_HEIF = rf"(?i)({'|'.join(map(re.escape, HEIF_SUFFIXES))})$"  # paths of HEIC images
NEEDS_HEIF = "HEIC needs an extra package: pip install pillow-heif"
_SUFFIXES = tuple(suffix.encode() for suffix in HEIF_SUFFIXES)
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


@functools.cache
def can_read_heif() -> bool:
    """Register the HEIC decoder with Pillow, and return whether it is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def is_heif(source: Path | str | bytes | IO[bytes]) -> bool:
    """Return whether an image file, given by path or opened, has the signature of HEIC."""
    if isinstance(source, Path | str | bytes):
        with open(source, "rb") as file:  # noqa: PTH123 -- Path does not accept bytes
            return is_heif(file)
    source.seek(0)
    head = source.read(12)
    return head[4:8] == b"ftyp" and head[8:] in _BRANDS


def is_named_heif(path: bytes) -> bool:
    """Return whether a file name has a HEIC suffix."""
    return path.lower().endswith(_SUFFIXES)
