"""Fetch the list of the images at a URL: the list file beside the folder, or a listing of the bucket."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.images.image_store import read_file
from data_manifest.images.images_folder import ImagesUrl, is_hidden, is_system_folder
from data_manifest.progress import working
from data_manifest.store.files import TemporaryFile
from data_manifest.store.references import LIST_SUFFIX
from pipeline.listing.folder_scan import IMAGE_SUFFIXES, OTHER_SUFFIXES
from pipeline.listing.skipped import Skipped

_OTHERS = tuple(suffix.encode() for suffix in OTHER_SUFFIXES)
_PHOTOS = (*(suffix.encode() for suffix in IMAGE_SUFFIXES), *_OTHERS)


@dataclass(frozen=True)
class FetchedList:
    """The paths of images, one per line.

    Args:
        origin: URL of the list file or the folder.
        file: The paths.
        skipped: The images that it leaves out.
    """

    origin: ImagesUrl
    file: Path | TemporaryFile
    skipped: Skipped = field(default_factory=Skipped)

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self.file if isinstance(self.file, Path) else self.file.path


def fetch_list(folder: ImagesUrl) -> FetchedList:
    """Return the list of the images at a URL.

    Raises:
        UserError: There is no list of a web server's images, no image in a bucket, or the store does not answer.
    """
    list_url = folder.parent / (folder.name + LIST_SUFFIX)
    try:
        with working(f"reading {list_url}"):
            content = read_file(list_url)
    except FileNotFoundError:
        if folder.can_list:
            return _list_bucket(folder)
        raise UserError(
            f"{list_url}: no such file. Web servers do not list images: put a list there, with one path per line, "
            f"relative to {folder}."
        ) from None
    file = TemporaryFile()
    file.path.write_bytes(content)
    return FetchedList(list_url, file)


def _list_bucket(folder: ImagesUrl) -> FetchedList:
    from data_manifest.images.object_listing import list_objects  # needs an optional package

    listed, file = list_objects(folder).file, TemporaryFile()
    num_images, hidden_images, folders, other_photos = 0, 0, set[bytes](), Counter[str]()
    with listed.path.open("rb") as lines, file.path.open("wb") as images:
        for line in lines:
            path = line.removesuffix(b"\n")
            lower = path.lower()
            if not lower.endswith(_PHOTOS) or b"\0" in path:  # NUL stands for a newline
                continue
            system_folder, name = _system_folder(path), path.rpartition(b"/")[2]
            if lower.endswith(_OTHERS):
                if not system_folder and not is_hidden(name):
                    other_photos["." + lower.rpartition(b".")[2].decode()] += 1
            elif system_folder:
                folders.add(system_folder)
            elif is_hidden(name):
                hidden_images += 1
            else:
                num_images += 1
                images.write(line)
    if not num_images:
        raise UserError(f"{folder}: no image in it (looked for {', '.join(IMAGE_SUFFIXES)})")
    names = Counter(os.fsdecode(path.rpartition(b"/")[2]) for path in folders)
    return FetchedList(folder, file, Skipped(hidden_images, names, other_photos))


def _system_folder(path: bytes) -> bytes | None:
    """Return the path of the hidden or system folder that an image is in; None if there is none."""
    parts = path.split(b"/")[:-1]
    return next((b"/".join(parts[: end + 1]) for end, name in enumerate(parts) if is_system_folder(name)), None)
