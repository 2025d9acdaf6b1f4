"""Make a smaller JPEG of an image."""

import io

from PIL import Image

from data_manifest.images.open_picture import decode_strictly
from pipeline.verification.bad_image import BadImageError, Status


def shrink_image(content: bytes, shorter_side: int, quality: int) -> bytes:
    """Return an image as an upright JPEG without EXIF; never enlarged.

    Args:
        content: The file of the image.
        shorter_side: Pixels of the shorter side, at most.
        quality: JPEG quality, 1 to 100.

    Raises:
        BadImageError: The image is damaged, or not an image.
    """
    try:
        image = Image.fromarray(decode_strictly(content))
        scale = shorter_side / min(image.size)
        if scale < 1:
            width, height = (max(1, round(side * scale)) for side in image.size)
            image = image.resize((width, height), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many kinds
        raise BadImageError(Status.CORRUPT, str(error) or type(error).__name__) from error
    return buffer.getvalue()
