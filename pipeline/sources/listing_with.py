"""A listing of images, and paths beside them that have no file: rows of a table for which there is no image."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import polars as pl

from pipeline.listing.list_images import Images, Listing
from pipeline.texts import Texts


@dataclasses.dataclass(frozen=True)
class ImagesWith:
    """Images, and paths beside them that have no file."""

    images: Images | None
    paths: tuple[bytes, ...]
    digest: str | None = None  # of the files alone it would not say what there is

    def blocks(self) -> Iterator[Texts]:
        """Give the paths of both."""
        if self.images is not None:
            yield from self.images.blocks()
        yield Texts.of(self.paths)


class ListingWith:
    """A listing, and paths beside it that have no file."""

    def __init__(self, listing: Listing, sizes: Mapping[bytes, int], paths: pl.Series) -> None:
        self.origin, self.fingerprint, self.skipped = listing.origin, listing.fingerprint, listing.skipped
        self._listing, self._sizes = listing, sizes
        self._paths: dict[bytes, list[bytes]] = {}
        for path in map(str.encode, paths):
            self._paths.setdefault(path[: path.rfind(b"/") + 1], []).append(path)

    def estimate(self) -> tuple[int, int]:
        """Return what the listing does."""
        return self._listing.estimate()

    def sizes(self, scratch: Path) -> Mapping[bytes, int]:
        """Return how many paths each folder has."""
        return {
            folder: self._sizes.get(folder, 0) + len(self._paths.get(folder, ()))
            for folder in (*self._sizes, *(self._paths.keys() - self._sizes.keys()))
        }

    def images(self, folders: Iterable[bytes]) -> Images:
        """Return the images and the paths of folders."""
        folders = list(folders)
        found = [folder for folder in folders if folder in self._sizes]
        paths = tuple(path for folder in folders for path in self._paths.get(folder, ()))
        return ImagesWith(self._listing.images(found) if found else None, paths)

    def check_unchanged(self) -> None:
        """Check that the images are those that were listed."""
        self._listing.check_unchanged()
