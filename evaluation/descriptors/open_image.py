"""Open and resize images with Pillow. Imports no torch, because a report opens images too."""

import io
from dataclasses import dataclass

from PIL import Image

from data_manifest.errors import UserError
from data_manifest.images.heif import NEEDS_HEIF
from data_manifest.images.image_size import ImageSize
from data_manifest.images.image_store import store_of
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.images.open_picture import as_shown, open_picture


@dataclass(frozen=True)
class SizeRule:
    """The sizes of images that a network takes; by default any."""

    exact: ImageSize | None = None  # all images are resized to it, unless a shorter side is requested
    multiple_of: int = 1  # pixels; each side is rounded to the nearest multiple, at least one

    def size_of(self, width: int, height: int, shorter_side: int | None = None) -> tuple[int, int]:
        """Return the width and height to which an image is resized.

        Args:
            width: Of the image, in pixels.
            height: Of the image, in pixels.
            shorter_side: Requested by the user, in pixels; None keeps the image's own size or takes the exact one.
        """
        if shorter_side is not None:
            # The longer side is truncated to whole pixels, as torchvision and the published code do.
            width, height = (shorter_side * side // min(width, height) for side in (width, height))
        elif self.exact is not None:
            width, height = self.exact.width, self.exact.height
        return self._rounded(width), self._rounded(height)

    def _rounded(self, side: int) -> int:
        return max(1, (side + self.multiple_of // 2) // self.multiple_of) * self.multiple_of


ANY_SIZE = SizeRule()


def size_rule_of(network: object) -> SizeRule:
    """Return the size rule of a network; any size for one that has none."""
    found = getattr(network, "size_rule", None)
    return found if isinstance(found, SizeRule) else ANY_SIZE


def open_image(path: ImagesFolder, mode: str = "RGB", min_side: int | None = None) -> Image.Image:
    """Return a decoded image, upright by its orientation flag.

    Args:
        path: The image: a path or a URL.
        mode: Mode of Pillow to convert it to: RGB, or L for grayscale.
        min_side: Decode a large JPEG at 1/2, 1/4 or 1/8 of its size if its shorter side keeps at least this many
            pixels, which is several times as fast.

    Raises:
        UserError: The file is missing, damaged or not an image.
    """
    return decode_image(next(store_of(path.parent).read([path.name])), path, mode, min_side)


def decode_image(
    content: bytes | OSError, path: ImagesFolder, mode: str = "RGB", min_side: int | None = None
) -> Image.Image:
    """Return the image that a store read at a path, as `open_image` does."""
    try:
        if isinstance(content, OSError):
            raise content
        with open_picture(io.BytesIO(content)) as image:
            return decoded(image, mode, min_side)
    except Exception as error:  # Pillow's decoders raise many types, such as SyntaxError and struct.error
        if str(error) == NEEDS_HEIF:
            raise UserError(f"{path} cannot be opened. {NEEDS_HEIF}") from error
        raise UserError(f"{path} cannot be opened as an image ({error}). Fix or remove the file") from error


def decoded(image: Image.Image, mode: str = "RGB", min_side: int | None = None) -> Image.Image:
    """Return an opened image decoded and upright, as `open_image` does; Pillow's decoders raise many types."""
    if min_side is not None:
        image.draft(None, (min_side, min_side))
    return as_shown(image, mode)


def resize(
    image: Image.Image, shorter_side: int | None, interpolation: str = "bilinear", rule: SizeRule = ANY_SIZE
) -> Image.Image:
    """Return an image in the size of a rule, antialiased; itself if it has that size.

    Args:
        image: The image.
        shorter_side: Requested shorter side in pixels, with the image's proportions; None leaves the size to the rule.
        interpolation: bilinear or bicubic.
        rule: Sizes that the network takes.
    """
    size = rule.size_of(*image.size, shorter_side)
    return image if size == image.size else image.resize(size, Image.Resampling[interpolation.upper()])
