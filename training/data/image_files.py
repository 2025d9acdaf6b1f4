"""Read training images: complete, or an error; never with damaged parts filled in grey."""

import errno
import io

import numpy as np
import simplejpeg
import torch
from PIL import Image
from torch import Tensor

from data_manifest.errors import TOO_MANY_FILES, UserError
from data_manifest.images.image_store import store_of
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.images.open_picture import as_shown, open_picture, orientation_of_jpeg, turned

JPEG_START, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
COLOUR_SPACES = ("YCbCr", "Gray", "RGB")  # decoded by simplejpeg; others, such as CMYK, by Pillow
# Errors that affect all images. Others, such as permission denied, may affect one, and do not stop a training.
SYSTEM_ERRORS = (*TOO_MANY_FILES, errno.ENOMEM, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT)


class UnreadableImageError(Exception):
    """The image is missing, damaged, or not an image; the message is the reason."""


def read_image(path: ImagesFolder) -> Tensor:
    """Return an image, upright: [3, h, w], uint8, RGB.

    Raises:
        UnreadableImageError: The file is missing, damaged, or not an image.
        UserError: The system cannot read files now.
    """
    return decode_image(next(store_of(path.parent).read([path.name])), path)


def decode_image(content: bytes | OSError, path: ImagesFolder) -> Tensor:
    """Return the image that a store read at a path, as `read_image` does."""
    try:
        if isinstance(content, OSError):
            raise content
        pixels = _decode(content)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, OSError) and error.errno in SYSTEM_ERRORS:
            raise UserError(f"Cannot read {path}: {error.strerror}. Run the same command again to resume.") from error
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableImageError(reason) from error
    except MemoryError:
        raise
    except Exception as error:  # decoders raise other kinds for unexpected damage
        raise UnreadableImageError(f"{type(error).__name__}: {error}") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def _decode(content: bytes) -> np.ndarray:
    """Return [h, w, 3].

    Pillow fills damaged parts of a JPEG with grey; simplejpeg with `strict` raises an error. Rare kinds of JPEG only
    Pillow decodes: for these, a missing end marker reveals truncation.
    """
    if content.startswith(JPEG_START):
        if _is_common(content):
            pixels: np.ndarray = simplejpeg.decode_jpeg(content, "RGB", strict=True)
            orientation = orientation_of_jpeg(content)
            return pixels if orientation == 1 else np.array(turned(Image.fromarray(pixels), orientation))
        if content.rfind(JPEG_END) < content.rfind(JPEG_SCAN):
            raise ValueError("truncated: no end marker")
    else:
        with open_picture(io.BytesIO(content)) as image:
            image.verify()  # a PNG's checksums, which decoding may ignore
    with open_picture(io.BytesIO(content)) as image:
        return np.array(as_shown(image))


def _is_common(jpeg: bytes) -> bool:
    """Return whether simplejpeg decodes this kind of JPEG; it decodes more kinds than it has names for."""
    try:
        return simplejpeg.decode_jpeg_header(jpeg)[2] in COLOUR_SPACES
    except KeyError:
        return True
    except ValueError as error:
        if "subsampling" in str(error):
            return False
        raise
