"""Settings of verification: what is checked, and which images groups may use."""

import dataclasses
import re
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting

HEADER, DECODE, NO = "header", "decode", "no"
PILLOWS_MAX_PIXELS = 178_956_970
_SIZE = re.compile(r"\s*([1-9][0-9]{0,5})\s*[xX]\s*([1-9][0-9]{0,5})\s*")
NOT_LISTED = "not in the list of checksums"  # the end of a detail


def normalise_size(text: str) -> str:
    """Return a size in pixels in the form 512x512.

    Raises:
        ValueError: The text has another form.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError("expected width and height in pixels, such as 512x512")
    return f"{found[1]}x{found[2]}"


@dataclasses.dataclass(frozen=True)
class CheckSettings(Settings):
    """Settings of the check of each image."""

    title = "Verification"

    check: str = setting(  # type: ignore[assignment]  # the option's name hides the method
        DECODE,
        "how much of each file is read: header (first and last block, which finds every truncation) or decode (all)",
        choices=(HEADER, DECODE),
    )

    def check_values(self) -> None:
        """Do nothing: the choices are all there is to check."""


@dataclasses.dataclass(frozen=True)
class VerifySettings(Settings):
    """Further requirements on images: checksum and size."""

    title = "Verification"

    checksum: Path | None = setting(
        None,
        "list of checksums to compare with: the output of sha256sum, sha1sum, md5sum and the like, or a zip archive",
    )
    expected_size: str | None = setting(
        None, "images of another size in pixels are bad, for example 512x512", form=normalise_size
    )
    max_pixels: int = setting(PILLOWS_MAX_PIXELS, "images with more pixels are decompression bombs, and bad")

    def check(self) -> None:
        """Raise UserError for a value that no image can meet."""
        if self.max_pixels < 1:
            raise UserError(f"max_pixels = {self.max_pixels}: an image has at least 1 pixel.")


@dataclasses.dataclass(frozen=True)
class VerifiedSettings(Settings):
    """Settings of the verification before groups are built."""

    title = "Grouping"

    verified: str = setting(NO, "check the images first and drop the bad ones", choices=(HEADER, DECODE, NO))
