"""The rows of a user's table, CSV or Parquet, as the texts that a manifest's fields are read from.

Everything becomes text first, so that what is no number can be shown as it stands in the table.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError
from pipeline.names import NUMBERS
from pipeline.sources.columns import find_columns
from pipeline.sources.source import WRITTEN
from pipeline.sources.times import timestamp_in_one_form

SEPARATORS = ",;\t|"
PARQUET_SUFFIXES = (".parquet", ".pq")
NOTHING = ("nan", "na", "n/a", "null", "none", "-")  # as programs write an empty number
COLUMNS = ("path", *WRITTEN, "heading_reference", "sequence")
REFERENCES = {"true": "true", "t": "true", "magnetic": "magnetic", "m": "magnetic"}
_ZONE_AND_BAND = r"^(\d{1,2})\s*([A-Za-z])$"


def read_rows(table: Path, given: Mapping[str, str], images_folder: Path) -> pl.DataFrame:
    """Return the table's rows in its order, with the columns `COLUMNS`, texts, empty where nothing is said.

    Args:
        table: The file.
        given: The columns whose meaning the user tells, as `find_columns` takes them.
        images_folder: What paths that begin at the root of the disk are made relative to.

    Raises:
        UserError: The table cannot be read, or lacks what is needed.
    """
    whole = _read_parquet(table) if table.suffix.lower() in PARQUET_SUFFIXES else _read_csv(table)
    if whole.is_empty():
        raise UserError(f"{table}: there is no row in it")
    found = find_columns(table, whole.columns, given)
    texts = whole.select(_text(whole.schema[name], name).alias(meaning) for meaning, name in found.items())
    rows = texts.with_columns(pl.lit("").alias(column) for column in COLUMNS if column not in found)
    reference = pl.col("heading_reference").str.to_lowercase()
    return (
        rows.with_columns(*map(_number, NUMBERS), _relative(images_folder), timestamp_in_one_form(pl.col("timestamp")))
        .with_columns(reference.replace_strict(REFERENCES, default="", return_dtype=pl.String))
        .with_columns(*_zone_and_band())
        .select(COLUMNS)
    )


def _read_csv(table: Path) -> pl.DataFrame:
    try:
        with table.open("rb") as file:
            header = file.readline()
        separator = max(SEPARATORS, key=lambda each: header.count(each.encode()))
        rows = pl.read_csv(table, separator=separator, infer_schema=False, encoding="utf8-lossy")
    except OSError as error:
        raise UserError(f"{table}: cannot be read: {error.strerror or error}") from error
    except pl.exceptions.NoDataError:
        raise UserError(f"{table}: there is nothing in it") from None
    except pl.exceptions.PolarsError as error:
        raise UserError(f"{table}: is no table of comma-separated values: {str(error).splitlines()[0]}") from error
    return rows.rename(lambda name: name.removeprefix("\ufeff").strip())


def _read_parquet(table: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(table, glob=False)
    except OSError as error:
        raise UserError(f"{table}: cannot be read: {error.strerror or error}") from error
    except pl.exceptions.PolarsError as error:
        raise UserError(f"{table}: is no Parquet file: {str(error).splitlines()[0]}") from error


def _text(kind: pl.DataType, name: str) -> pl.Expr:
    """Return a column as text without spaces around it."""
    if kind == pl.Date:
        text = pl.col(name).dt.strftime("%Y%m%d")
    elif isinstance(kind, pl.Datetime):
        text = pl.col(name).dt.strftime("%Y%m%d_%H%M%S")
    elif kind.is_nested() or kind == pl.Binary:
        raise UserError(f"column {name} holds {kind}: expected text or numbers")
    else:
        text = pl.col(name).cast(pl.String)
    return text.fill_null("").str.strip_chars()


def _number(name: str) -> pl.Expr:
    """Return a number's text with a decimal point, empty where a program wrote that there is none."""
    text = pl.col(name).str.replace(r"^([+-]?\d+),(\d+)$", "$1.$2")
    return pl.when(text.str.to_lowercase().is_in(NOTHING)).then(pl.lit("")).otherwise(text).alias(name)


def _relative(images_folder: Path) -> pl.Expr:
    """Return paths relative to the images folder, with forward slashes and without a ./ at their beginning."""
    path = pl.col("path").str.replace_all("\\", "/", literal=True)
    here = re.escape(str(images_folder.absolute()).rstrip("/"))
    return path.str.replace(f"^{here}/", "").str.replace_all(r"/(\./)*/*", "/").str.replace(r"^(\./)+", "")


def _zone_and_band() -> tuple[pl.Expr, pl.Expr]:
    """Return zone and band, also where both are written as one, as in 31U."""
    zone, band = pl.col("utm_zone"), pl.col("utm_band")
    both = zone.str.contains(_ZONE_AND_BAND)
    number, letter = zone.str.extract(_ZONE_AND_BAND, 1), zone.str.extract(_ZONE_AND_BAND, 2)
    return (
        pl.when(both).then(number).otherwise(zone).alias("utm_zone"),
        pl.when(both & (band == "")).then(letter).otherwise(band).alias("utm_band"),
    )
