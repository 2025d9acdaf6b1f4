"""Images of a training set from disk: whole, or an error. Never black, never grey where the data are damaged."""

import errno
import io
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from PIL import Image
from torch import Tensor

from data_manifest.errors import TOO_MANY_FILES, UserError
from data_manifest.images.open_picture import as_shown, open_picture, orientation_of_jpeg, turned

JPEG_START, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
COLOURS = ("YCbCr", "Gray", "RGB")  # spaces that the fast decoder brings to RGB
NEEDS_PILLOW = "subsampling"  # of a kind that it has no name for
# What is wrong with the machine and not with the image: all images would seem bad. `is_of_the_machine` knows more of
# these, for which days of training are not stopped: one image that the disk or the rights do not give.
OF_THE_MACHINE = (*TOO_MANY_FILES, errno.ENOMEM, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT)


class UnreadableImageError(Exception):
    """An image that is missing, damaged, or no image; the message is the reason."""


def read_image(path: Path) -> Tensor:
    """Return an image's pixels, turned as its orientation flag says: [3, h, w], uint8, RGB.

    Raises:
        UnreadableImageError: The file is missing, or is no whole image.
        UserError: Files cannot be read now, this one or another.
    """
    try:
        pixels = _decode(path.read_bytes())
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
            raise UserError(f"{path} cannot be read now: {error.strerror}; the same command goes on") from error
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableImageError(reason) from error
    except MemoryError:
        raise
    except Exception as error:  # decoders raise other kinds too, of damage that they do not expect
        raise UnreadableImageError(f"{type(error).__name__}: {error}") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def _decode(content: bytes) -> np.ndarray:
    """Return [h, w, 3].

    Pillow goes on where a JPEG's data are damaged, and paints grey; libjpeg warns of that, which `strict` heeds. Pillow
    has to be trusted with JPEGs of rare kinds alone: in the colours of print, or with their colours stored in a
    resolution that is seldom used. That such a one ends before its end, the missing end marker tells.
    """
    if content.startswith(JPEG_START):
        if _is_common(content):
            pixels: np.ndarray = simplejpeg.decode_jpeg(content, "RGB", strict=True)
            orientation = orientation_of_jpeg(content)
            return pixels if orientation == 1 else np.array(turned(Image.fromarray(pixels), orientation))
        if content.rfind(JPEG_END) < content.rfind(JPEG_SCAN):
            raise ValueError("it ends before its end marker")
    else:
        with open_picture(io.BytesIO(content)) as image:
            image.verify()  # the checksums of a PNG, which decoding may pass over
    with open_picture(io.BytesIO(content)) as image:
        return np.array(as_shown(image))


def _is_common(jpeg: bytes) -> bool:
    """Return whether the fast decoder knows a JPEG's kind; it decodes more kinds than it has names for."""
    try:
        return simplejpeg.decode_jpeg_header(jpeg)[2] in COLOURS
    except KeyError:
        return True
    except ValueError as error:
        if NEEDS_PILLOW in str(error):
            return False
        raise
