"""Open and resize images with Pillow. Imports no torch, because a report opens images too."""

from pathlib import Path

from PIL import Image

from data_manifest.errors import UserError
from data_manifest.images.heif import NEEDS_HEIF
from data_manifest.images.open_picture import as_shown, open_picture


def open_image(path: Path, mode: str = "RGB", min_side: int | None = None) -> Image.Image:
    """Return a decoded image, upright by its orientation flag.

    Args:
        path: The image file.
        mode: Mode of Pillow to convert it to: RGB, or L for grayscale.
        min_side: Decode a large JPEG at 1/2, 1/4 or 1/8 of its size if its shorter side keeps at least this many
            pixels, which is several times as fast.

    Raises:
        UserError: The file is missing, damaged or not an image.
    """
    try:
        with open_picture(path) as image:
            if min_side is not None:
                image.draft(None, (min_side, min_side))
            return as_shown(image, mode)
    except Exception as error:  # Pillow's decoders raise many types, such as SyntaxError and struct.error
        if str(error) == NEEDS_HEIF:
            raise UserError(f"{path} cannot be opened. {NEEDS_HEIF}") from error
        raise UserError(f"{path} cannot be opened as an image ({error}). Fix or remove the file") from error


def resize_shorter_side(image: Image.Image, shorter_side: int, interpolation: str = "bilinear") -> Image.Image:
    """Return an image resized to a shorter side in pixels, with its proportions, antialiased.

    `interpolation` is bilinear or bicubic.
    """
    # The longer side is truncated to whole pixels, as torchvision and the published code do.
    width, height = (shorter_side * side // min(image.size) for side in image.size)
    return image.resize((width, height), Image.Resampling[interpolation.upper()])
