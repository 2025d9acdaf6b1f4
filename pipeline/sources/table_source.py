"""A table as the source, with one row per image.

A row without a file and a file without a row are rejects. The table is read once into a Parquet file of text, sorted by
path, from which each partition takes its rows.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import folder_of
from pipeline.listing.lines import flat_bytes
from pipeline.listing.list_images import Listing, path_blocks
from pipeline.metadata.fields import NEGATIVE
from pipeline.metadata.paths import Paths
from pipeline.metadata.rejects import REJECT, Reason
from pipeline.metadata.track_headings import fill_headings
from pipeline.sources.settings import FROM_TRACK, SourceSettings
from pipeline.sources.source import FOLDER, SOURCE_FIELDS, Reader, Source, read_fields
from pipeline.sources.table_columns import parse_columns
from pipeline.sources.table_file import digest_of_table
from pipeline.sources.table_rows import read_rows

ROWS_FILE = "rows.parquet"
NOT_ASCII = r"[^\x00-\x7f]"
VERSION = 4  # raise it when other rows are read from the same table
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableReader(Reader):
    """Reads manifest rows from `rows_file`, the table's text in Parquet."""

    rows_file: Path

    def state(self, paths: Paths) -> bytes:
        """Return a digest of the table's rows for paths."""
        names = pl.DataFrame({"path": paths.in_bytes.cast(pl.String, strict=False)}).drop_nulls()
        rows = self._rows_of(names).sort("path")
        lines = rows.select(pl.concat_str(pl.all().fill_null(""), separator="\x1f")).to_series()
        content, offsets = flat_bytes(lines.cast(pl.Binary))
        return hashlib.sha256(offsets.tobytes() + content.tobytes()).digest()

    def read(self, paths: Paths, strict: bool, negative_headings: bool = False) -> pl.DataFrame:
        """Return manifest rows, as `Reader.read` does."""
        texts = paths.decode()
        rows = texts.join(self._rows_of(texts), on="path", how="left", maintain_order="left")
        no_row = pl.struct(reason=pl.lit(Reason.NOT_IN_TABLE.value), detail=pl.lit("no row with this path"))
        in_row = pl.when(pl.col("reason").is_not_null()).then(pl.struct("reason", "detail"))
        reject = pl.when(pl.col("in_table").is_null()).then(no_row).otherwise(in_row)
        fields = (pl.col(name).fill_null("") for name in SOURCE_FIELDS)
        rows = rows.with_columns(*fields, reject=reject).drop("reason", "detail", "in_table")
        return read_fields(rows, strict, negative_headings)

    def _rows_of(self, paths: pl.DataFrame) -> pl.DataFrame:
        rows = pl.scan_parquet(self.rows_file, glob=False)
        return rows.join(paths.lazy().select("path"), on="path", how="semi").collect()


class TableSource(Source):
    """A table with one row per image."""

    def __init__(self, table: Path, options: SourceSettings) -> None:
        self.table, self.options = table, options
        super().__init__(
            f"No row of {table} is usable. See the reason, check --columns, and write positions as degrees, such as "
            "48.8506 and -2.3348, or as UTM metres.",
            {"source": {**options.as_dict(), "table": None, "version": VERSION}},  # the table's content is an input
            {"table": str(table)},
        )

    def inputs(self, listing: Listing) -> Mapping[str, str]:
        """Return the digest of the table's content."""
        return {"table": digest_of_table(self.table)}

    def open(self, listing: Listing, scratch: Path) -> tuple[Sequence[bytes], Reader]:
        """Return the paths in the table that have no image, and the reader."""
        given = parse_columns(self.options.columns) if self.options.columns else {}
        rows = read_rows(self.table, given, folder_of(listing.origin))
        check_not_swapped(self.table, rows)
        rows = _one_row_per_path(self._match_unicode_forms(rows, _files(listing)))
        missing = rows.select("path")
        for files in _files(listing):
            missing = missing.join(files.to_frame("path"), on="path", how="anti", maintain_order="left")
        if len(missing) == len(rows):
            raise self._no_match(listing, rows["path"][0], len(rows))
        rows = _mark_missing(rows, missing)
        if self.options.heading == FROM_TRACK:
            rows = self._fill_headings(rows)
        rows_file = scratch / ROWS_FILE
        rows.drop("sequence").sort("path").write_parquet(rows_file, row_group_size=1 << 16)
        return [path.encode() for path in missing["path"]], TableReader(rows_file)

    def _match_unicode_forms(self, rows: pl.DataFrame, texts_of_files: Iterable[pl.Series]) -> pl.DataFrame:
        """Return the rows with the files' paths where only the Unicode form differs."""
        odd = rows["path"].filter(rows["path"].str.contains(NOT_ASCII)).unique()
        if odd.is_empty():
            return rows
        parts = [texts.filter(texts.str.contains(NOT_ASCII)) for texts in texts_of_files]
        files = pl.concat([odd.clear(), *parts]).alias("file").unique()
        unmatched = files.filter(~files.is_in(odd.implode())).to_frame().with_columns(_nfc("file"))
        renamed = odd.filter(~odd.is_in(files.implode())).to_frame("path").with_columns(_nfc("path"))
        renamed = renamed.join(unmatched.unique("nfc", keep="none"), on="nfc")
        if len(renamed):
            text = "%s: %s paths match a file name in another Unicode normalization form (NFC or NFD)"
            logger.info(text, self.table, f"{len(renamed):,}")
        return rows.with_columns(pl.col("path").replace(renamed["path"], renamed["file"]))

    def _no_match(self, listing: Listing, first: str, num_rows: int) -> UserError:
        """Return the error that no row matches, with the likely mistake in the first."""
        folder, parts, hint = folder_of(listing.origin), first.split("/"), ""
        for begin in range(1, len(parts)):
            shorter = "/".join(parts[begin:])
            if isinstance(folder, Path) and (folder / shorter).is_file():
                hint = f" Without {first.removesuffix(shorter)} it would match {folder / shorter}."
                break
        return UserError(
            f"{self.table}: none of its {num_rows:,} rows matches a file of {listing.origin} (first path: {first}). "
            f"Write paths relative to the images folder, with their extension.{hint}"
        )

    def _fill_headings(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with missing headings estimated from the track."""
        texts = rows.with_columns(
            is_utf8=pl.lit(True),
            sequence=pl.when(pl.col("sequence") != "").then("sequence").otherwise(FOLDER),
            reject=pl.lit(None, REJECT),
            has_file=pl.col("reason").is_null(),
        ).drop("reason", "detail")
        images = read_fields(texts, strict=False)
        usable = images.filter("has_file", pl.col("reject").is_null())
        if (usable["odd_heading"] == NEGATIVE).any():
            images = read_fields(texts, strict=False, negative_headings=True)
        images = fill_headings(images, self.options.camera_turn)
        columns = ("heading", "heading_source", "heading_reference")
        filled = images.filter(pl.col("heading_source") == "track").select("path", pl.col(columns).cast(pl.String))
        return rows.update(filled, on="path")


def _files(listing: Listing) -> Iterator[pl.Series]:
    """Yield the listed paths that are UTF-8, as text."""
    return (block.cast(pl.String, strict=False).drop_nulls() for block in path_blocks(listing))


def _nfc(name: str) -> pl.Expr:
    return pl.col(name).str.normalize("NFC").alias("nfc")


def check_not_swapped(table: Path, rows: pl.DataFrame) -> None:
    """Raise UserError if latitude and longitude are swapped in most rows."""
    degrees = rows.select(pl.col("latitude", "longitude").cast(pl.Float64, strict=False)).drop_nulls()
    is_swapped = pl.col("latitude").abs().is_between(90, 180, closed="right") & (pl.col("longitude").abs() <= 90)
    swapped = degrees.filter(is_swapped)
    if len(swapped) * 2 > len(degrees):
        latitude, longitude = swapped.row(0)
        raise UserError(
            f"{table}: latitude and longitude are swapped in {len(swapped):,} of {len(degrees):,} rows (first: "
            f"latitude = {latitude:g}, longitude = {longitude:g}). Pass --columns latitude=...,longitude=..."
        )


def _one_row_per_path(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per path, with `reason` and `detail` where its rows differ."""
    values = [name for name in rows.columns if name != "path"]
    rows = rows.unique(maintain_order=True)
    differing = [pl.when(pl.col(name).n_unique() > 1).then(pl.lit(name)).alias(name) for name in values]
    repeated = rows.filter(pl.col("path").is_duplicated()).group_by("path").agg(pl.len().alias("rows"), *differing)
    disagreements = repeated.select(
        "path",
        reason=pl.lit(Reason.ROWS_DISAGREE.value),
        detail=pl.format("{} rows differ in {}", "rows", pl.concat_str(values, separator=", ", ignore_nulls=True)),
    )
    rows = rows.unique("path", keep="first", maintain_order=True).join(disagreements, on="path", how="left")
    return rows.with_columns(heading_source=pl.lit("table"), in_table=pl.lit(True))


def _mark_missing(rows: pl.DataFrame, missing: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with a reject for each path without a file."""
    no_path, no_file = pl.lit("the row has no path"), pl.lit("in the table, but not in the images folder")
    rejects = missing.with_columns(
        reason=pl.lit(Reason.NO_FILE.value),
        detail=pl.when(pl.col("path") == "").then(no_path).otherwise(no_file),
    )
    return rows.update(rejects, on="path")
