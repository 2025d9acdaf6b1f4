"""The names of images as the source, in SF-XL's form. No image is opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.listing.list_images import Listing
from pipeline.metadata.paths import Paths
from pipeline.metadata.read_names import read_names
from pipeline.sources.source import Reader, Source


@dataclass(frozen=True)
class NamesReader:
    """Reads manifest rows from names."""

    by_paths_alone: bool = True

    def state(self, paths: Paths) -> bytes:
        """Return nothing: rows depend only on the paths."""
        return b""

    def read(self, paths: Paths, strict: bool, negative_headings: bool = False) -> pl.DataFrame:
        """Return manifest rows, as `Reader.read` does."""
        return read_names(paths, strict, negative_headings)


class NamesSource(Source):
    """The names of images."""

    expected = (
        "Names must have the form @UTM_east@UTM_north@zone@band@latitude@longitude@pano_id@tile@heading@...@.jpg. "
        "For other names, pass --source table or --source exif."
    )

    def open(self, listing: Listing, scratch: Path) -> tuple[Sequence[bytes], Reader]:
        """Return no other paths, and the reader."""
        return (), NAMES_READER


NAMES_READER = NamesReader()
NAMES_SOURCE = NamesSource()
