"""Rows of a user's table as text, so that rejects can show values as written."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pipeline.metadata.degrees import COORDINATES, NOT_UNDERSTOOD, signed_degrees
from pipeline.metadata.fields import NUMBERS, clean_number
from pipeline.sources.source import SOURCE_FIELDS
from pipeline.sources.table_columns import find_columns
from pipeline.sources.table_file import read_table_file
from pipeline.sources.table_times import parse_timestamp
from pipeline.sources.table_zones import bands_for_hemispheres, split_zone_and_band

COLUMNS = ("path", *SOURCE_FIELDS, "heading_reference", "sequence")
SIDES = ("latitude_ref", "longitude_ref")
REFERENCES = {"true": "true", "t": "true", "magnetic": "magnetic", "m": "magnetic"}
logger = logging.getLogger(__name__)


def read_rows(table: Path, given: Mapping[str, str], images_folder: Path) -> pl.DataFrame:
    """Return the rows with the text columns `COLUMNS`, empty where nothing is given.

    Args:
        table: The file.
        given: The user's column mapping, as in `find_columns`.
        images_folder: Absolute paths are made relative to it.

    Raises:
        UserError: The table cannot be read, or lacks a required column.
    """
    rows = read_table_file(table)
    columns = find_columns(table, rows.schema, given)
    texts = rows.select(_text(rows.schema[name], name).alias(meaning) for meaning, name in columns.items())
    texts = texts.with_columns(pl.lit("").alias(column) for column in (*COLUMNS, *SIDES) if column not in columns)
    reference = pl.col("heading_reference").str.to_lowercase()
    texts = (
        texts.with_columns(*map(clean_number, NUMBERS), _relative(images_folder), _timestamps(table, texts))
        .with_columns(reference.replace_strict(REFERENCES, default="", return_dtype=pl.String))
        .with_columns(*split_zone_and_band())
    )
    texts = texts.with_columns(_signed(texts, name, side) for name, side in zip(COORDINATES, SIDES, strict=True))
    return bands_for_hemispheres(texts).select(COLUMNS)


def _timestamps(table: Path, texts: pl.DataFrame) -> pl.Series:
    """Return parsed timestamps; others are logged, and kept as written to be counted."""
    written = texts["timestamp"]
    times = texts.select(parse_timestamp(pl.col("timestamp"))).to_series()
    odd = written.filter((written != "") & (times == ""))
    if len(odd):
        text = "%s: %s timestamps cannot be parsed and are left out, such as %r. Write them as 2014-06-16 10:20:30."
        logger.warning(text, table, f"{len(odd):,}", odd[0])
    return times.zip_with(times != "", written).alias("timestamp")


def _text(kind: pl.DataType, name: str) -> pl.Expr:
    """Return a column as text without surrounding spaces."""
    if kind == pl.Date:
        text = pl.col(name).dt.strftime("%Y%m%d")
    elif isinstance(kind, pl.Datetime):
        text = pl.col(name).dt.strftime("%Y%m%d_%H%M%S")
    else:
        text = pl.col(name).cast(pl.String)
    return text.fill_null("").str.strip_chars()


def _signed(rows: pl.DataFrame, coordinate: str, side: str) -> pl.Series:
    """Return a coordinate's text, as signed degrees unless it is a plain number."""
    texts = rows.select(text=coordinate, side=side)
    is_number = pl.col("text").cast(pl.Float64, strict=False).is_not_null() & (pl.col("side") == "")
    odd = texts.filter(pl.col("text") != "", ~is_number).unique()
    degrees = pl.Series("degrees", [_degrees(coordinate, *row) for row in odd.iter_rows()], pl.String)
    joined = texts.join(odd.with_columns(degrees), on=["text", "side"], how="left", maintain_order="left")
    return joined.select(pl.coalesce("degrees", "text").alias(coordinate)).to_series()


def _degrees(coordinate: str, text: str, side: str) -> str:
    try:
        return repr(round(signed_degrees(coordinate, text, side), 9))
    except ValueError as error:  # the added cause makes the text a reject: not a number
        cause = "" if str(error) == NOT_UNDERSTOOD else f" ({error})"
        return f"{text} {side}".rstrip() + cause


def _relative(images_folder: Path) -> pl.Expr:
    """Return paths relative to the images folder, in their shortest form."""
    path = pl.col("path").str.replace_all("\\", "/", literal=True)
    folder = re.escape(str(images_folder.absolute()).rstrip("/"))
    return path.str.replace(f"^{folder}/", "").str.replace_all(r"/(\./)*/*", "/").str.replace(r"^(\./)+", "")
