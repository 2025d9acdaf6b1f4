"""The rows of a user's table as the texts that a manifest's fields are read from.

Everything becomes text first, so that what is no number can be shown as it stands in the table.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pipeline.metadata.fields import NUMBERS, clean_number
from pipeline.sources.degrees import COORDINATES, NOT_UNDERSTOOD, signed_degrees
from pipeline.sources.source import WRITTEN
from pipeline.sources.table_columns import find_columns
from pipeline.sources.table_file import read_table_file
from pipeline.sources.table_times import timestamp_in_one_form
from pipeline.sources.table_zones import with_bands_for_hemispheres, zone_and_band

COLUMNS = ("path", *WRITTEN, "heading_reference", "sequence")
SIDES = ("latitude_ref", "longitude_ref")
REFERENCES = {"true": "true", "t": "true", "magnetic": "magnetic", "m": "magnetic"}
logger = logging.getLogger(__name__)


def read_rows(table: Path, given: Mapping[str, str], images_folder: Path) -> pl.DataFrame:
    """Return the table's rows in its order, with the columns `COLUMNS`, texts, empty where nothing is said.

    Args:
        table: The file.
        given: The columns whose meaning the user tells, as `find_columns` takes them.
        images_folder: What paths that begin at the root of the disk are made relative to.

    Raises:
        UserError: The table cannot be read, or lacks what is needed.
    """
    whole = read_table_file(table)
    found = find_columns(table, whole.schema, given)
    texts = whole.select(_text(whole.schema[name], name).alias(meaning) for meaning, name in found.items())
    rows = texts.with_columns(pl.lit("").alias(column) for column in (*COLUMNS, *SIDES) if column not in found)
    reference = pl.col("heading_reference").str.to_lowercase()
    read = (
        rows.with_columns(*map(clean_number, NUMBERS), _relative(images_folder), _times(table, rows["timestamp"]))
        .with_columns(reference.replace_strict(REFERENCES, default="", return_dtype=pl.String))
        .with_columns(*zone_and_band())
    )
    read = read.with_columns(_signed(read, name, side) for name, side in zip(COORDINATES, SIDES, strict=True))
    return with_bands_for_hemispheres(read).select(COLUMNS)


def _times(table: Path, written: pl.Series) -> pl.Series:
    """Return times in one form. Those that are not understood stay as they are, to be counted, and are reported."""
    times = written.to_frame().select(timestamp_in_one_form(pl.col("timestamp"))).to_series()
    odd = written.filter((written != "") & (times == ""))
    if len(odd):
        text = "%s: %s timestamps are not understood, as %r, and left out: write them as 2014-06-16 10:20:30"
        logger.warning(text, table, f"{len(odd):,}", odd[0])
    return times.zip_with(times != "", written).alias("timestamp")


def _text(kind: pl.DataType, name: str) -> pl.Expr:
    """Return a column as text without spaces around it."""
    if kind == pl.Date:
        text = pl.col(name).dt.strftime("%Y%m%d")
    elif isinstance(kind, pl.Datetime):
        text = pl.col(name).dt.strftime("%Y%m%d_%H%M%S")
    else:
        text = pl.col(name).cast(pl.String)
    return text.fill_null("").str.strip_chars()


def _signed(rows: pl.DataFrame, coordinate: str, side: str) -> pl.Series:
    """Return a coordinate's texts, as signed degrees where a side is written or the text is no plain number."""
    written = rows.select(text=coordinate, side=side)
    is_plain = pl.col("text").cast(pl.Float64, strict=False).is_not_null() & (pl.col("side") == "")
    odd = written.filter(pl.col("text") != "", ~is_plain).unique()
    degrees = pl.Series("degrees", [_degrees(coordinate, *row) for row in odd.iter_rows()], pl.String)
    found = written.join(odd.with_columns(degrees), on=["text", "side"], how="left", maintain_order="left")
    return found.select(pl.coalesce("degrees", "text").alias(coordinate)).to_series()


def _degrees(coordinate: str, text: str, side: str) -> str:
    try:
        return repr(round(signed_degrees(coordinate, text, side), 9))
    except ValueError as error:  # with the cause, this is not a number and so a reject
        cause = "" if str(error) == NOT_UNDERSTOOD else f" ({error})"
        return f"{text} {side}".rstrip() + cause


def _relative(images_folder: Path) -> pl.Expr:
    """Return paths relative to the images folder, with forward slashes and without a ./ at their beginning."""
    path = pl.col("path").str.replace_all("\\", "/", literal=True)
    here = re.escape(str(images_folder.absolute()).rstrip("/"))
    return path.str.replace(f"^{here}/", "").str.replace_all(r"/(\./)*/*", "/").str.replace(r"^(\./)+", "")
