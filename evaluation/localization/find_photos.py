"""Find photos in folders."""

import os
from pathlib import Path

from PIL import Image

from data_manifest.errors import UserError
from data_manifest.images.heif import HEIF_SUFFIXES
from data_manifest.images.hidden import is_hidden, is_system_folder


def find_photos(paths: list[Path]) -> list[Path]:
    """Return the photos at paths: a file itself, and all photos in and below a folder, by name.

    A path without a photo is returned as it is, so that it does not stop the others.

    Raises:
        UserError: No path has a photo.
    """
    found = [(path, _photos(path)) for path in paths]
    if not any(photos for _, photos in found):
        raise UserError(no_photo(paths[0]))
    return [photo for path, photos in found for photo in photos or [path]]


def no_photo(path: Path) -> str:
    """Return the message for a path without a photo."""
    return f"{path}: no image in this folder" if path.is_dir() else f"{path}: no such file or folder"


def _photos(path: Path) -> list[Path]:
    """Return photos, HEIC even if it cannot be opened, without hidden files and system folders."""
    if not path.is_dir():
        return [path] if path.exists() else []
    suffixes, photos = {*Image.registered_extensions(), *HEIF_SUFFIXES}, []
    for parent, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not is_system_folder(os.fsencode(name))]
        visible = (name for name in names if not is_hidden(os.fsencode(name)))
        photos += [Path(parent, name) for name in visible if Path(name).suffix.lower() in suffixes]
    return sorted(photos)
