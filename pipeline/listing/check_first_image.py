"""Check that the images of a data set are readable by opening one, before a long run begins."""

import io
import os

from data_manifest.errors import UserError
from data_manifest.images.heif import can_read_heif, is_named_heif
from data_manifest.images.image_store import read_file
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.images.open_picture import open_picture
from pipeline.listing.list_images import Listing, path_blocks


def check_first_image(listing: Listing, images_folder: ImagesFolder) -> None:
    """Check that an image of the first folder with images exists and is complete.

    Raises:
        UserError: There is none, or it is missing or corrupt.
    """
    first = next(filter(len, path_blocks(listing)), None)
    if first is None:
        raise UserError(f"{listing.origin}: no image in it")
    # Without the extra, HEIC is a reject of the manifest: it does not stop a training on the other photos.
    readable = (path for path in first if can_read_heif() or not is_named_heif(path))
    path = images_folder / os.fsdecode(next(readable, first[0]))
    try:
        with open_picture(io.BytesIO(read_file(path))) as image:
            image.load()
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds, SyntaxError and struct.error among them
        raise UserError(
            f"{path} cannot be opened as an image ({error}): it is the first of {listing.origin}; is that the right "
            "folder, and was it copied whole?"
        ) from error
