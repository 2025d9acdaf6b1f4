"""A table as the source: a row for each image, with the path and where the image was taken.

A row whose file is missing is a reject, and so is a file that no row names: what there is in either is in the manifest
or in the rejects. The table is brought to texts once, in a Parquet file sorted by path; each partition then takes the
rows of its paths from it.
"""

import contextlib
import dataclasses
import hashlib
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from data_manifest.errors import UserError
from data_manifest.store.references import folder_of
from pipeline.listing.list_images import Listing
from pipeline.metadata.fields import NEGATIVE
from pipeline.metadata.name_parts import Parts
from pipeline.metadata.rejects import REJECT, Reason
from pipeline.metadata.track_headings import fill_headings
from pipeline.sources.listing_with import ListingWith
from pipeline.sources.settings import FROM_TRACK, SourceSettings
from pipeline.sources.source import WRITTEN, Reader, read_fields
from pipeline.sources.table_columns import columns_of
from pipeline.sources.table_file import digest_of_table
from pipeline.sources.table_rows import read_rows
from pipeline.texts import Texts, feed

ROWS_FILE = "rows.parquet"
NOT_ASCII = r"[^\x00-\x7f]"
logger = logging.getLogger(__name__)
VERSION = 3  # of how a table is read


@dataclasses.dataclass(frozen=True)
class TableReader:
    """Says of images what the rows of a table do; `rows_file` has these as texts."""

    rows_file: Path
    by_paths_alone: bool = False

    def state(self, paths: Texts) -> bytes:
        """Return a digest of the rows of paths."""
        names = pl.DataFrame({"path": paths.column().cast(pl.String, strict=False)}).drop_nulls()
        rows = self._rows_of(names).sort("path")
        lines = rows.select(pl.concat_str(pl.all().fill_null(""), separator="\x1f")).to_series()
        content = hashlib.sha256()
        feed(content, lines)
        return content.digest()

    def read(
        self, paths: pl.DataFrame, strict: bool, parts: Parts | None = None, negative_headings: bool = False
    ) -> pl.DataFrame:
        """Return what the table says."""
        rows = paths.join(self._rows_of(paths), on="path", how="left", maintain_order="left")
        found = pl.struct(reason="reason", detail="detail")
        no_row = pl.struct(reason=pl.lit(Reason.NOT_IN_TABLE.value), detail=pl.lit("no row names this file"))
        reject = pl.when(pl.col("in_table").is_null()).then(no_row).when(pl.col("reason").is_not_null()).then(found)
        texts = (pl.col(name).fill_null("") for name in WRITTEN)
        rows = rows.with_columns(*texts, reject=reject).drop("reason", "detail", "in_table")
        return read_fields(rows, strict, negative_headings)

    def _rows_of(self, paths: pl.DataFrame) -> pl.DataFrame:
        rows = pl.scan_parquet(self.rows_file, glob=False)
        return rows.join(paths.lazy().select("path"), on="path", how="semi").collect()


@dataclasses.dataclass(frozen=True)
class TableSource:
    """A table with a row for each image."""

    table: Path
    options: SourceSettings
    rows_per_partition: int | None = None

    @property
    def expected(self) -> str:
        """What a user is told who gives images that the table says nothing of."""
        return (
            f"The table {self.table} says nothing that can be used: see the reason, and --columns; positions are "
            "numbers of degrees, as 48.8506 and -2.3348, or of metres"
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides the rows."""
        return {"source": {**self.options.as_dict(), "table": None, "version": VERSION}}  # its content is an input

    @property
    def summary(self) -> Mapping[str, Any]:
        """Where the table was."""
        return {"table": str(self.table)}

    def inputs(self, listing: Listing) -> Mapping[str, str]:
        """Return the digest of the table's content."""
        return {"table": digest_of_table(self.table)}

    def open(self, listing: Listing, scratch: Path) -> tuple[Listing, Reader]:
        """Return the images that there are or that the table names, and what says what they are."""
        given = columns_of(self.options.columns) if self.options.columns else {}
        rows = read_rows(self.table, given, folder_of(listing.origin))
        refuse_swapped(self.table, rows)
        sizes = listing.sizes(scratch)
        files = listing.images(sizes)
        rows = _one_row_a_path(self._with_names_of_files(rows, files.blocks()))
        missing = _without_file(rows["path"], files.blocks())
        if len(missing) == len(rows):
            self._refuse_other_images(listing, rows["path"][0], len(rows))
        rows = _say_missing(rows, missing)
        if self.options.heading == FROM_TRACK:
            rows = self._with_track(rows)
        rows_file = scratch / ROWS_FILE
        rows.drop("sequence").sort("path").write_parquet(rows_file, row_group_size=1 << 16)
        return ListingWith(listing, sizes, missing["path"]), TableReader(rows_file)

    def _with_names_of_files(self, rows: pl.DataFrame, blocks: Iterable[Texts]) -> pl.DataFrame:
        """Return the rows with paths written as the files are where only the Unicode normalisation form differs."""
        odd = rows["path"].filter(rows["path"].str.contains(NOT_ASCII)).unique()
        if odd.is_empty():
            return rows
        found = [pl.Series("file", [], pl.String)]
        for block in blocks:
            files = block.column().cast(pl.String, strict=False).drop_nulls()
            found.append(files.filter(files.str.contains(NOT_ASCII)).alias("file"))
        files = pl.concat(found).unique()
        one_form = pl.DataFrame({"file": files.filter(~files.is_in(odd.implode()))})
        one_form = one_form.with_columns(form=pl.col("file").str.normalize("NFC")).unique("form", keep="none")
        renamed = (
            pl.DataFrame({"path": odd.filter(~odd.is_in(files.implode()))})
            .with_columns(form=pl.col("path").str.normalize("NFC"))
            .join(one_form, on="form")
        )
        if len(renamed):
            text = "%s: %s paths match a file in another Unicode normalisation form (NFC or NFD)"
            logger.info(text, self.table, f"{len(renamed):,}")
        return rows.with_columns(pl.col("path").replace(renamed["path"], renamed["file"]))

    def _refuse_other_images(self, listing: Listing, first: str, num_rows: int) -> NoReturn:
        """Say that no row names an image, and what is likely wrong with the first one's path.

        Raises:
            UserError: Always.
        """
        folder, parts, hint = folder_of(listing.origin), first.split("/"), ""
        for begin in range(1, len(parts)):
            shorter = "/".join(parts[begin:])
            if (folder / shorter).is_file():
                hint = f"; without {first.removesuffix(shorter)} it would name {folder / shorter}"
                break
        raise UserError(
            f"{self.table}: none of its {num_rows:,} rows names a file of {listing.origin}; the first is {first}: "
            f"paths in a table begin in the images folder, with their extension{hint}"
        )

    def _with_track(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with the headings that are missing estimated."""
        folder = pl.col("path").str.replace(r"[^/]*$", "")
        sequence = pl.when(pl.col("sequence") != "").then("sequence").otherwise(folder)
        has_file = pl.col("reason").is_null()
        no_reject = rows.with_columns(
            is_utf8=pl.lit(True), sequence=sequence, reject=pl.lit(None, REJECT), has_file=has_file
        )
        texts = no_reject.drop("reason", "detail")
        images = read_fields(texts, strict=False)
        usable = images.filter("has_file", pl.col("reject").is_null())
        if (usable["odd_heading"] == NEGATIVE).any():
            images = read_fields(texts, strict=False, negative_headings=True)
        images = fill_headings(images, self.options.camera_turn)
        filled = images.filter(pl.col("heading_source") == "track").select(
            "path", pl.col("heading").cast(pl.String).alias("track"), heading_reference="heading_reference"
        )
        return (
            rows.join(filled, on="path", how="left", suffix="_of_track", maintain_order="left")
            .with_columns(
                heading=pl.coalesce("track", "heading"),
                heading_source=pl.when(pl.col("track").is_not_null()).then(pl.lit("track")).otherwise("heading_source"),
                heading_reference=pl.coalesce("heading_reference_of_track", "heading_reference"),
            )
            .drop("track", "heading_reference_of_track")
        )

    def executor(self, num_jobs: int) -> contextlib.AbstractContextManager[Executor | None]:
        """Return nothing: libraries do the work, which let go of Python's lock."""
        return contextlib.nullcontext()


def refuse_swapped(table: Path, rows: pl.DataFrame) -> None:
    """Check that a table does not have longitudes for latitudes.

    Raises:
        UserError: It has, in more than half of its rows with both.
    """
    degrees = rows.select(pl.col("latitude", "longitude").cast(pl.Float64, strict=False)).drop_nulls()
    could_be_longitude = pl.col("latitude").abs().is_between(90, 180, closed="right")
    swapped = degrees.filter(could_be_longitude & (pl.col("longitude").abs() <= 90))
    if len(swapped) * 2 > len(degrees):
        latitude, longitude = swapped.row(0)
        raise UserError(
            f"{table}: latitude = {latitude:g}, longitude = {longitude:g}, and so in {len(swapped):,} of "
            f"{len(degrees):,} rows: the two are swapped, since a latitude is at most 90; say which column is which, "
            "as in --columns latitude=...,longitude=..."
        )


def _one_row_a_path(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each path, with `reason` and `detail` where several rows of it do not agree."""
    said = [name for name in rows.columns if name != "path"]
    rows = rows.unique(maintain_order=True)
    differing = [pl.when(pl.col(name).n_unique() > 1).then(pl.lit(name)).alias(name) for name in said]
    again = rows.filter(pl.col("path").is_duplicated())
    told = again.group_by("path").agg(pl.len().alias("rows"), *differing)
    names = pl.concat_str([pl.col(name) for name in said], separator=", ", ignore_nulls=True)
    told = told.select(
        "path",
        reason=pl.lit(Reason.ROWS_DISAGREE.value),
        detail=pl.format("{} rows, which differ in {}", "rows", names),
    )
    origin = {"heading_source": pl.lit("table"), "in_table": pl.lit(True)}
    return (
        rows.unique("path", keep="first", maintain_order=True).join(told, on="path", how="left").with_columns(**origin)
    )


def _without_file(paths: pl.Series, blocks: Iterable[Texts]) -> pl.DataFrame:
    """Return the paths, text, that are in none of the blocks of paths of files, bytes."""
    missing = pl.DataFrame({"path": paths})
    for block in blocks:
        files = pl.DataFrame({"path": block.column().cast(pl.String, strict=False)}).drop_nulls()
        missing = missing.join(files, on="path", how="anti", maintain_order="left")
    return missing


def _say_missing(rows: pl.DataFrame, missing: pl.DataFrame) -> pl.DataFrame:
    gone = missing.with_columns(gone=pl.lit(True))
    is_gone = pl.col("gone").is_not_null()
    return (
        rows.join(gone, on="path", how="left", maintain_order="left")
        .with_columns(
            reason=pl.when(is_gone).then(pl.lit(Reason.NO_FILE.value)).otherwise("reason"),
            detail=pl.when(is_gone).then(_which_is_missing()).otherwise("detail"),
        )
        .drop("gone")
    )


def _which_is_missing() -> pl.Expr:
    no_path, no_file = pl.lit("a row without a path"), pl.lit("the table names a file that is not in the images folder")
    return pl.when(pl.col("path") == "").then(no_path).otherwise(no_file)
