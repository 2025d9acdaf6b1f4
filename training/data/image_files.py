"""Read training images: complete, or an error; never with damaged parts filled in grey."""

import errno

import torch
from PIL import Image
from torch import Tensor

from data_manifest.errors import TOO_MANY_FILES, UserError
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.images.open_picture import decode_strictly

# Errors that affect all images. Others, such as permission denied, may affect one, and do not stop a training.
SYSTEM_ERRORS = (*TOO_MANY_FILES, errno.ENOMEM, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT)


class UnreadableImageError(Exception):
    """The image is missing, damaged, or not an image; the message is the reason."""


def decode_image(content: bytes | OSError, path: ImagesFolder) -> Tensor:
    """Return the image that a store read at a path, upright: [3, h, w], uint8, RGB.

    Raises:
        UnreadableImageError: The file is missing, damaged, or not an image.
        UserError: The system cannot read files now.
    """
    try:
        if isinstance(content, OSError):
            raise content
        pixels = decode_strictly(content)
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
