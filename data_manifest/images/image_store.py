"""Read the bytes of images from where they are stored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from data_manifest.images.images_folder import ImagesFolder, ImagesUrl


class ImageStore(Protocol):
    """Images by paths relative to their folder. Can be sent to other processes."""

    def read(self, paths: Sequence[str]) -> Iterator[bytes | OSError]:
        """Yield the content of each image in order, or the reason why it cannot be read.

        Raises:
            StoreError: The store cannot be read now, whatever the image.
        """


@dataclass(frozen=True)
class FolderStore:
    """Images in a folder of this machine. Each is read when its turn comes."""

    folder: Path

    def read(self, paths: Sequence[str]) -> Iterator[bytes | OSError]:
        """Yield the content of each image, or the error of reading it."""
        for path in paths:
            try:
                with open(f"{self.folder}/{path}", "rb", buffering=0) as file:  # noqa: PTH123 -- a Path takes longer
                    content = file.readall()
            except OSError as error:
                yield error
            else:
                yield content


def store_of(folder: ImagesFolder) -> ImageStore:
    """Return the store of a folder of images.

    Raises:
        UserError: It is a URL, and the package for it is missing.
    """
    if isinstance(folder, ImagesUrl):
        from data_manifest.images.object_store import ObjectStore  # needs an optional package

        return ObjectStore(folder)
    return FolderStore(folder)


def read_file(path: ImagesFolder) -> bytes:
    """Return the content of one image.

    Raises:
        OSError: It is missing or cannot be read.
        StoreError: The store cannot be read now.
    """
    content = next(store_of(path.parent).read([path.name]))
    if isinstance(content, OSError):
        raise content
    return content
