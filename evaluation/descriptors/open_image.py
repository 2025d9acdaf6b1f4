"""Images as Pillow has them, for all that shows or describes them. Imports no torch: a report opens images too."""

from pathlib import Path

from PIL import Image

from data_manifest.errors import UserError
from data_manifest.images.heif import NEEDS_HEIF
from data_manifest.images.open_picture import as_shown, open_picture

ADVICE = "fix the file, or take it out of the images folder and build the manifest again"


def open_image(path: Path, mode: str = "RGB", enough: int | None = None, advice: str | None = ADVICE) -> Image.Image:
    """Return the decoded image in a mode of Pillow's, turned as its orientation flag says.

    Args:
        path: Where it lies.
        mode: Pillow's name of what it is brought to: RGB, or L for shades of grey.
        enough: Decode a JPEG of many pixels at a half, a quarter or an eighth of its sides, where its shorter side has
            this many still: several times as fast.
        advice: What to do about an image that cannot be opened.

    Raises:
        UserError: The file is missing, broken or no image.
    """
    try:
        with open_picture(path) as image:
            if enough is not None:
                image.draft(None, (enough, enough))
            return as_shown(image, mode)
    except Exception as error:  # Pillow's decoders raise many kinds, SyntaxError and struct.error among them
        if str(error) == NEEDS_HEIF:
            raise UserError(f"{path} cannot be opened. {NEEDS_HEIF}") from error
        text = f"{path} cannot be opened as an image ({error})"
        raise UserError(f"{text}: {advice}" if advice else text) from error


def resize_shorter_side(image: Image.Image, shorter_side: int) -> Image.Image:
    """Return the image with its shorter side at `shorter_side` pixels and its proportions kept, antialiased."""
    shortest = min(image.size)
    # The longer side is cut to whole pixels, not rounded, as torchvision and so the published code do.
    width, height = (shorter_side * side // shortest for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)  # Pillow's filter widens when it shrinks
