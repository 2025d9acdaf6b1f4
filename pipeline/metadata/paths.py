"""Paths of images: from lines of bytes in any order to sorted text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from pipeline.listing.lines import Lines
from pipeline.listing.list_images import Listing, path_blocks
from pipeline.metadata.name_parts import Parts, sort_by_parts


@dataclass(frozen=True)
class Paths:
    """Sorted distinct paths.

    Args:
        in_bytes: The paths as on disk.
        repeats: Number of lines that repeat a path.
        parts: The parts of the names, if all of them are in SF-XL's form.
    """

    in_bytes: pl.Series
    repeats: int = 0
    parts: Parts | None = None

    def decode(self) -> pl.DataFrame:
        """Return the paths as text in `path`, and whether they are UTF-8 in `is_utf8`.

        Other paths get a leading `./`, which no listed path has, and their invalid bytes and percent signs are
        escaped, so that the text is unique.
        """
        try:
            return pl.DataFrame({"path": self.in_bytes.cast(pl.String)}).with_columns(is_utf8=pl.lit(True))
        except pl.exceptions.ComputeError:
            texts = [path.decode("utf-8", "surrogateescape") for path in self.in_bytes]
        rows = [_escape(text) if re.search("[\udc80-\udcff]", text) else (text, True) for text in texts]
        return pl.DataFrame(rows, schema={"path": pl.String, "is_utf8": pl.Boolean}, orient="row")


def _escape(text: str) -> tuple[str, bool]:
    return "./" + re.sub("[%\udc80-\udcff]", lambda match: f"%{ord(match[0]) & 0xFF:02X}", text), False


def all_paths(listing: Listing, more_paths: Iterable[bytes] = ()) -> Paths:
    """Return all paths of a listing that fits into memory, and some more."""
    more = pl.Series("line", list(more_paths), pl.Binary)
    return Paths(pl.concat([*path_blocks(listing), more]).unique().sort())


def distinct_paths(lines: Lines) -> Paths:
    """Return the paths in lines, sorted, each once."""
    if found := sort_by_parts(lines):
        rows, parts = found
        return Paths(lines.column().gather(rows), len(lines) - len(rows), parts)
    in_order = lines.column().sort()
    paths = in_order.filter((in_order != in_order.shift()).fill_null(True))
    return Paths(paths, len(lines) - len(paths))
