"""Images without positions, whose names are only keys, as in the MSLS challenge."""

from pathlib import Path

import polars as pl

from data_manifest.store.references import WITHOUT_POSITIONS
from pipeline.listing.list_images import Listing
from pipeline.metadata.fields import HEADING_ORIGIN
from pipeline.metadata.paths import Paths
from pipeline.metadata.rejects import REJECT, Reason
from pipeline.sources.source import SOURCE_FIELDS, Reader, Source, read_fields

UTM = ("utm_east", "utm_north")


class Keys(Source, Reader):
    """Rows whose UTM coordinates are NaN, so that no positive can be computed from them.

    `by_paths_alone` stays false: partitions of names with the same paths have other rows.
    """

    def open(self, listing: Listing, scratch: Path) -> tuple[tuple[()], Reader]:
        """Return no other paths, and this reader."""
        return (), self

    def state(self, paths: Paths) -> bytes:
        """Return a constant that distinguishes these partitions from those of names."""
        return WITHOUT_POSITIONS.encode()

    def read(self, paths: Paths, strict: bool, negative_headings: bool = False) -> pl.DataFrame:
        """Return manifest rows, as `Reader.read` does. If `strict`, images without a position stay rejects."""
        empty = (pl.lit("").alias(name) for name in (*SOURCE_FIELDS, *HEADING_ORIGIN))
        rows = read_fields(paths.decode().with_columns(*empty, reject=pl.lit(None, REJECT)), strict, negative_headings)
        if strict:
            return rows
        is_only_unplaced = pl.col("reject").struct.field("reason") == Reason.NO_POSITION.value
        return rows.with_columns(
            *(pl.lit(float("nan")).alias(name) for name in UTM),
            reject=pl.when(is_only_unplaced.fill_null(False)).then(None).otherwise("reject"),
        )


KEYS_SOURCE = Keys("Only databases and queries may lack positions.", {WITHOUT_POSITIONS: True})
