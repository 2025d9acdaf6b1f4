"""The protocol of sources, which give positions, headings and times of images; names are the default."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from pipeline.listing.list_images import Listing
from pipeline.metadata.fields import FIELDS, HEADING_ORIGIN, parse_fields, written
from pipeline.metadata.paths import Paths
from pipeline.metadata.read_names import read_names, with_positions
from pipeline.metadata.rejects import Reason, find_rejects, reject_when, rules
from pipeline.sources.settings import SourceSettings
from pipeline.sources.table_times import parse_timestamp

SOURCE_FIELDS = FIELDS[1:-1]
FOLDER = pl.col("path").str.replace(r"[^/]*$", "")  # a track's sequence by default


class Reader(ABC):
    """Reads the manifest rows of paths; can be sent to another process."""

    by_paths_alone: ClassVar[bool] = False  # whether the rows depend only on the paths

    @abstractmethod
    def state(self, paths: Paths) -> bytes:
        """Return a digest of what the rows depend on besides the paths."""

    @abstractmethod
    def read(self, paths: Paths, strict: bool, negative_headings: bool = False) -> pl.DataFrame:
        """Return the manifest's columns, `reject` and `apart_m`, sorted by path.

        Args:
            paths: The paths.
            strict: As in `build_manifest`.
            negative_headings: As in `heading_in_range`.
        """


class Source(ABC):
    """Source of the metadata of images.

    Args:
        expected: What the source expects, shown to users if no image is usable.
        settings: Settings that decide the rows, for the manifest's recipe.
        summary: What the manifest's summary says about the source, besides `settings`.
        rows_per_partition: Approximate; None for the default.
    """

    def __init__(
        self,
        expected: str,
        settings: Mapping[str, Any] | None = None,
        summary: Mapping[str, Any] | None = None,
        rows_per_partition: int | None = None,
    ) -> None:
        self.expected, self.settings, self.summary = expected, settings or {}, summary or {}
        self.rows_per_partition = rows_per_partition

    def inputs(self, listing: Listing) -> Mapping[str, str]:
        """Return digests of what is read besides the paths.

        Raises:
            UserError: It cannot be read.
        """
        return {}

    @abstractmethod
    def open(self, listing: Listing, scratch: Path) -> tuple[Sequence[bytes], Reader]:
        """Return paths that only the source names, and the reader.

        Args:
            listing: The listed images.
            scratch: A folder that all workers can read, kept until the manifest is built.

        Raises:
            UserError: The source cannot be read, or is for other images.
        """

    def executor(self, num_jobs: int) -> contextlib.AbstractContextManager[Executor | None]:
        """Return the default executor for this many partitions; None means threads."""
        return contextlib.nullcontext()


class Names(Source, Reader):
    """The names of images, in SF-XL's form. No image is opened."""

    by_paths_alone = True

    def open(self, listing: Listing, scratch: Path) -> tuple[Sequence[bytes], Reader]:
        """Return no other paths, and this reader."""
        return (), self

    def state(self, paths: Paths) -> bytes:
        """Return nothing: rows depend only on the paths."""
        return b""

    def read(self, paths: Paths, strict: bool, negative_headings: bool = False) -> pl.DataFrame:
        """Return manifest rows, as `Reader.read` does."""
        return read_names(paths, strict, negative_headings)


NAMES_SOURCE = Names(
    "Names must have the form @UTM_east@UTM_north@zone@band@latitude@longitude@pano_id@tile@heading@...@.jpg. "
    "For other names, pass --source table or --source exif."
)


def read_fields(texts: pl.DataFrame, strict: bool, negative_headings: bool = False) -> pl.DataFrame:
    """Return manifest rows of fields given as text, as `Reader.read` does.

    The additional column `is_odd_time` is true for a timestamp that cannot be parsed.

    Args:
        texts: `path`, `is_utf8`, the fields `SOURCE_FIELDS` as text, empty where missing, `heading_source`,
            `heading_reference`, and the source's own `reject`.
        strict: As in `build_manifest`.
        negative_headings: As in `heading_in_range`.
    """
    times = parse_timestamp(pl.col("timestamp"))
    texts = texts.with_columns(timestamp=times, is_odd_time=(pl.col("timestamp") != "") & (times == ""))
    rows = parse_fields(texts, negative_headings)
    is_zero = (pl.col("latitude") == 0) & (pl.col("longitude") == 0) & (written("utm_east") == "")
    zero = reject_when(is_zero, Reason.NO_POSITION, pl.lit("latitude 0, longitude 0: usually an unknown position"))
    by_rules = find_rejects(rows, rules(strict, of_names=False))
    has_heading = pl.col("heading").is_not_null()
    images = rows.with_columns(
        *(pl.when(has_heading & (pl.col(column) != "")).then(column).alias(column) for column in HEADING_ORIGIN),
        reject=pl.coalesce("reject", by_rules, zero),
    )
    return with_positions(images, strict).sort("path")


def source_settings_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the source settings in a manifest's recipe, with the path of its table.

    A manifest that is a part of a split has them in its summary.
    """
    settings = recipe["summary"].get("source") or recipe["settings"].get("source") or SourceSettings().as_dict()
    return {**settings, "table": recipe["summary"].get("table", settings.get("table"))}
