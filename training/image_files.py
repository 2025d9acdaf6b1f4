"""Images of a training set from disk: whole, or an error. Never black, never grey where the data are damaged."""

import errno
import io
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from PIL import Image
from torch import Tensor

from data_manifest.errors import UserError

JPEG_START = b"\xff\xd8"
# What is wrong with the machine and not with the image: all images would seem bad.
OF_THE_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT)


class UnreadableImageError(Exception):
    """An image that is missing, damaged, or no image; the message is the reason."""


def read_image(path: Path) -> Tensor:
    """Return an image's pixels as they are stored, whatever orientation EXIF asks for: [3, h, w], uint8, RGB.

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

    Pillow goes on where a JPEG's data are damaged, and paints grey; libjpeg warns of that, which `strict` heeds. Only
    of the rare colour spaces, as that of print, Pillow has to be trusted.
    """
    if content.startswith(JPEG_START) and simplejpeg.decode_jpeg_header(content)[2] in ("YCbCr", "Gray", "RGB"):
        pixels: np.ndarray = simplejpeg.decode_jpeg(content, "RGB", strict=True)
        return pixels
    with Image.open(io.BytesIO(content)) as image:
        image.verify()  # the checksums of a PNG, which decoding may pass over
    with Image.open(io.BytesIO(content)) as image:
        return np.array(image.convert("RGB"))
