"""Find photos in folders, on this machine or at URLs."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from data_manifest.errors import UserError
from data_manifest.images.heif import HEIF_SUFFIXES
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl, is_hidden, is_system_folder


def find_photos(paths: Sequence[ImagesFolder], at_most: int = sys.maxsize) -> list[ImagesFolder]:
    """Return the photos at paths: a file itself, and all photos in and below a folder, by name.

    A path without a photo is returned as it is, so that it does not stop the others.

    Args:
        paths: Files and folders, and their URLs.
        at_most: Maximum number of photos; a URL is only listed as far as needed.

    Raises:
        UserError: No path has a photo.
    """
    found = [(path, _photos(path, at_most)) for path in paths]
    if not any(photos for _, photos in found):
        raise UserError(no_photo(paths[0]))
    return [photo for path, photos in found for photo in photos or [path]][:at_most]


def no_photo(path: ImagesFolder) -> str:
    """Return the message for a path without a photo."""
    if isinstance(path, ImagesUrl):
        more = "" if path.can_list else "; web servers do not list folders"
        return f"{path}: no photo with this URL, and none below it{more}"
    return f"{path}: no image in this folder" if path.is_dir() else f"{path}: no such file or folder"


def _photos(path: ImagesFolder, at_most: int) -> Sequence[ImagesFolder]:
    """Return photos, HEIC even if it cannot be opened, without hidden files and system folders."""
    suffixes = (*Image.registered_extensions(), *HEIF_SUFFIXES)
    if isinstance(path, ImagesUrl):
        return _photos_at(path, suffixes, at_most)
    if not path.is_dir():
        return [path] if path.exists() else []
    photos = []
    for parent, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not is_system_folder(os.fsencode(name))]
        visible = (name for name in names if not is_hidden(os.fsencode(name)))
        photos += [Path(parent, name) for name in visible if Path(name).suffix.lower() in suffixes]
    return sorted(photos)


def _photos_at(url: ImagesUrl, suffixes: tuple[str, ...], at_most: int) -> list[ImagesUrl]:
    from data_manifest.images.object_listing import first_objects, object_states  # needs an optional package

    def is_photo(path: str) -> bool:
        *folders, name = path.encode().split(b"/")
        return path.lower().endswith(suffixes) and not is_hidden(name) and not any(map(is_system_folder, folders))

    if url.name.lower().endswith(suffixes) and object_states(url.parent, [url.name]) != [(None, None)]:
        return [url]
    return [url / path for path in first_objects(url, at_most, is_photo)]
