"""Rows of a user's table as text, so that rejects can show values as written.

UTM zones may be 33, 33.0, 33U, or 33S for a band or the south. A letter N or S is a hemisphere if the latitude or,
without one, `utm_north` is outside that band. From 51 to 60 degrees south both would fit, and the band is assumed.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import utm

from data_manifest.images.images_folder import ImagesFolder
from pipeline.metadata.degrees import COORDINATES, NOT_UNDERSTOOD, signed_degrees
from pipeline.metadata.fields import NUMBERS, clean_number
from pipeline.sources.source import SOURCE_FIELDS
from pipeline.sources.table_columns import find_columns
from pipeline.sources.table_file import read_table_file
from pipeline.sources.table_times import parse_timestamp

COLUMNS = ("path", *SOURCE_FIELDS, "heading_reference", "sequence")
SIDES = ("latitude_ref", "longitude_ref")
REFERENCES = {"true": "true", "t": "true", "magnetic": "magnetic", "m": "magnetic"}
ZONE_AND_BAND = r"^(\d{1,2})\s*([A-Za-z])$"
WHOLE = r"^(\d{1,2})\.0*$"  # from programs that store all numbers as floats
# The northings of a band, and 200 km on either side for a city that crosses the band's edge.
NORTHINGS = {"N": (-200_000.0, 1_090_000.0), "S": (3_340_000.0, 4_640_000.0)}
logger = logging.getLogger(__name__)


def read_rows(table: Path, given: Mapping[str, str], images_folder: ImagesFolder) -> pl.DataFrame:
    """Return the rows with the text columns `COLUMNS`, empty where nothing is given.

    Columns are found as in `find_columns`. Absolute paths are made relative to the images folder.

    Raises:
        UserError: The table cannot be read, or lacks a required column.
    """
    rows = read_table_file(table)
    columns = find_columns(table, rows.schema, given)
    texts = rows.select(_text(rows.schema[name], name).alias(meaning) for meaning, name in columns.items())
    texts = texts.with_columns(pl.lit("").alias(column) for column in (*COLUMNS, *SIDES) if column not in columns)
    reference = pl.col("heading_reference").str.to_lowercase()
    texts = texts.with_columns(
        *map(clean_number, NUMBERS),
        _relative(images_folder),
        _timestamps(table, texts),
        reference.replace_strict(REFERENCES, default="", return_dtype=pl.String),
    )
    texts = texts.with_columns(_signed(texts, name, side) for name, side in zip(COORDINATES, SIDES, strict=True))
    return with_zones_and_bands(texts).select(COLUMNS)


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


def _relative(images_folder: ImagesFolder) -> pl.Expr:
    """Return paths relative to the images folder, in their shortest form."""
    path = pl.col("path").str.replace_all("\\", "/", literal=True)
    folder = re.escape(str(images_folder.absolute()).rstrip("/"))
    return path.str.replace(f"^{folder}/", "").str.replace_all(r"/(\./)*/*", "/").str.replace(r"^(\./)+", "")


def with_zones_and_bands(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with a zone such as 31U split, and the band in place of an N or S that means the hemisphere."""
    zone, band = pl.col("utm_zone").str.replace(WHOLE, "$1"), pl.col("utm_band")
    number, letter = (zone.str.extract(ZONE_AND_BAND, group) for group in (1, 2))
    band = pl.when(band == "").then(letter.fill_null("")).otherwise(band).str.to_uppercase()
    rows = rows.with_columns(utm_zone=pl.coalesce(number, zone), utm_band=band)
    doubtful = rows.with_row_index("row").filter(pl.col("utm_band").is_in(list(NORTHINGS)))
    numbers = (pl.col(name).cast(pl.Float64, strict=False) for name in ("utm_east", "utm_north", "latitude"))
    fields = doubtful.select("utm_band", pl.col("utm_zone").cast(pl.Int32, strict=False), *numbers)
    bands = pl.Series([_band(*row) for row in fields.iter_rows()], dtype=pl.String)
    return rows.with_columns(rows["utm_band"].scatter(doubtful["row"], bands))


def _band(letter: str, zone: int | None, east: float | None, north: float | None, latitude: float | None) -> str:
    """Return N or S itself, unless the latitude or the metres are of another band."""
    if latitude is None:
        if zone is None or east is None or north is None or NORTHINGS[letter][0] <= north <= NORTHINGS[letter][1]:
            return letter
        try:
            latitude, _ = utm.to_latlon(east, north, zone, northern=letter == "N")
        except ValueError:  # impossible metres or zone: a rule rejects the row
            return letter
    return str(utm.latitude_to_zone_letter(latitude) or letter)
