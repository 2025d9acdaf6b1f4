"""What a source is, and the one that reads names.

A source tells what a manifest depends on beside the paths, and gives a reader: that says, of some paths, what the
manifest's rows are. Whatever the source, the rows come of the same rules: `read_fields` are those of names.
"""

import contextlib
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from pipeline.listing.list_images import Listing
from pipeline.metadata.fields import FIELDS, HEADING_ORIGIN, parse_fields, written
from pipeline.metadata.name_parts import Parts
from pipeline.metadata.read_names import read_names, with_positions
from pipeline.metadata.rejects import Reason, find_rejects, reject_when, rules
from pipeline.sources.settings import SourceSettings
from pipeline.sources.table_times import timestamp_in_one_form
from pipeline.texts import Texts

WRITTEN = FIELDS[1:-1]  # what a source may say of an image


class Reader(Protocol):
    """Says what images are; can be sent to another process."""

    @property
    def by_paths_alone(self) -> bool:
        """Whether the rows depend on nothing but the paths."""

    def state(self, paths: Texts) -> bytes:
        """Return a digest of what the rows depend on beside the sorted paths."""

    def read(
        self, paths: pl.DataFrame, strict: bool, parts: Parts | None = None, negative_headings: bool = False
    ) -> pl.DataFrame:
        """Return the manifest's columns for sorted paths with `is_utf8`, with `reject` and `apart_m`, sorted by path.

        Args:
            paths: `path`, text, and `is_utf8`, as `decode_paths` gives them.
            strict: As in `build_manifest`.
            parts: Those of the paths, if they are names of SF-XL's form and were cut already.
            negative_headings: As in `heading_in_range`.
        """


class Source(Protocol):
    """Where it is written what the images are."""

    @property
    def expected(self) -> str:
        """What a user is told who gives images that the source says nothing of."""

    @property
    def rows_per_partition(self) -> int | None:
        """How many rows a partition has at most, about; None: as many as of names."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides the rows, as the recipe of a manifest has it beside its own settings."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """What a manifest's summary says of the source, beside what decides the rows."""

    def inputs(self, listing: Listing) -> Mapping[str, str]:
        """Return digests of what is read, beside the paths, as it stands now.

        Raises:
            UserError: It cannot be read.
        """

    def open(self, listing: Listing, scratch: Path) -> tuple[Listing, Reader]:
        """Return the images, with those that the source alone knows of, and what says what they are.

        Args:
            listing: The images that were found.
            scratch: A folder that all who read can see, which is kept until they have.

        Raises:
            UserError: The source cannot be read, or is not about these images.
        """

    def executor(self, num_jobs: int) -> contextlib.AbstractContextManager[Executor | None]:
        """Return what runs so many partitions where nothing else is asked for; None is threads of this process."""


@dataclass(frozen=True)
class NamesReader:
    """Reads the names of images, in SF-XL's form."""

    by_paths_alone: bool = True

    def state(self, paths: Texts) -> bytes:
        """Return nothing: the names are in the paths."""
        return b""

    def read(
        self, paths: pl.DataFrame, strict: bool, parts: Parts | None = None, negative_headings: bool = False
    ) -> pl.DataFrame:
        """Return what the names say."""
        return read_names(paths, strict, parts, negative_headings)


@dataclass(frozen=True)
class NamesSource:
    """The names of images, in SF-XL's form; no image is opened."""

    expected: str = (
        "Names are expected as @UTM_east@UTM_north@zone@band@latitude@longitude@pano_id@tile@heading@...@.jpg; "
        "photos called otherwise are described by --source table or --source exif"
    )
    rows_per_partition: int | None = None

    @property
    def summary(self) -> Mapping[str, Any]:
        """Return nothing: names are all there is."""
        return {}

    @property
    def settings(self) -> Mapping[str, Any]:
        """Return nothing: manifests of names were there before other sources."""
        return {}

    def inputs(self, listing: Listing) -> Mapping[str, str]:
        """Return nothing: the names are in the paths."""
        return {}

    def open(self, listing: Listing, scratch: Path) -> tuple[Listing, Reader]:
        """Return the images as they are."""
        return listing, NAMES

    def executor(self, num_jobs: int) -> contextlib.AbstractContextManager[Executor | None]:
        """Return nothing: libraries do the work, which let go of Python's lock."""
        return contextlib.nullcontext()


NAMES = NamesReader()
NAMES_SOURCE = NamesSource()


def read_fields(texts: pl.DataFrame, strict: bool, negative_headings: bool = False) -> pl.DataFrame:
    """Return the manifest's columns, with `reject` and `apart_m`, of fields given as texts, by the rules of names.

    Args:
        texts: `path`, `is_utf8`, the fields `WRITTEN` as texts, empty where nothing is said, `heading_source` and
            `heading_reference`, and `reject`, what the source itself found wrong.
        strict: As in `build_manifest`.
        negative_headings: As in `heading_in_range`.

    The images also have `is_odd_time`: whether a timestamp is written that is not understood.
    """
    times = timestamp_in_one_form(pl.col("timestamp"))
    texts = texts.with_columns(timestamp=times, is_odd_time=(pl.col("timestamp") != "") & (times == ""))
    rows = parse_fields(texts, negative_headings)
    found = find_rejects(rows, rules(strict, of_names=False))
    images = rows.with_columns(reject=pl.coalesce("reject", found, _reject_nowhere()))
    without = pl.col("heading").is_null()
    images = images.with_columns(
        pl.when(~without & (pl.col(column) != "")).then(column).alias(column) for column in HEADING_ORIGIN
    )
    return with_positions(images, strict).sort("path")


def _reject_nowhere() -> pl.Expr:
    """Return a reject for latitude and longitude 0: cameras and programs write that where they know no position."""
    are_0 = [pl.col(name) == 0 for name in ("latitude", "longitude")]
    detail = pl.lit("latitude 0, longitude 0: what is written where no position is known")
    return reject_when(pl.all_horizontal(*are_0, written("utm_east") == ""), Reason.NO_POSITION, detail)


def source_settings_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the source of a manifest, given by its recipe, with the path that its table had.

    The manifest of a part of split photos has them in its summary.
    """
    settings = recipe["summary"].get("source") or recipe["settings"].get("source") or SourceSettings().as_dict()
    return {**settings, "table": recipe["summary"].get("table", settings.get("table"))}
