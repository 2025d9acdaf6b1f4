"""What a check of images looks at, and which images groups may be made of."""

import dataclasses
import re
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting

HEADER, DECODE, NO = "header", "decode", "no"
REFUSED_BY_PILLOW = 178_956_970  # pixels: with more, Pillow takes a file for a decompression bomb
_SIZE = re.compile(r"\s*([1-9][0-9]{0,5})\s*[xX]\s*([1-9][0-9]{0,5})\s*")


def size_in_one_form(text: str) -> str:
    """Return a size in pixels as in 512x512.

    Raises:
        ValueError: It is none.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError("expected width and height in pixels, as in 512x512")
    return f"{found[1]}x{found[2]}"


@dataclasses.dataclass(frozen=True)
class CheckSettings(Settings):
    """How much of each image is read."""

    check: str = setting(  # type: ignore[assignment]  # the name that the command line has
        DECODE,
        "header reads the first and the last block of each file, and finds every truncation; decode reads and decodes "
        "everything",
        choices=(HEADER, DECODE),
    )

    def check_values(self) -> None:
        """There is nothing to refuse beyond the choices."""


@dataclasses.dataclass(frozen=True)
class VerifySettings(Settings):
    """What makes an image a bad one, beside damage."""

    checksum: Path | None = setting(
        None, "list to compare with: the output of sha256sum, sha1sum, md5sum and the like, or a zip archive"
    )
    expected_size: str | None = setting(
        None, "images of another size than this are bad, as in 512x512 pixels", form=size_in_one_form
    )
    max_pixels: int = setting(REFUSED_BY_PILLOW, "an image with more pixels than this is a decompression bomb")

    def check(self) -> None:
        """Refuse what no image could meet."""
        if self.max_pixels < 1:
            raise UserError(f"max_pixels = {self.max_pixels}: an image has at least 1 pixel")

    @property
    def size(self) -> tuple[int, int] | None:
        """The width and height that images must have, if they must."""
        if self.expected_size is None:
            return None
        width, height = self.expected_size.split("x")
        return int(width), int(height)


@dataclasses.dataclass(frozen=True)
class VerifiedSettings(Settings):
    """Which images groups may be made of."""

    verified: str = setting(
        NO, "check the images first, as VerifyImages --check does, and leave bad ones out", choices=(HEADER, DECODE, NO)
    )
