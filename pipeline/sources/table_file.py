"""A user's table from its file, CSV or Parquet, as programs of all kinds write it; columns are what the file says."""

import codecs
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError

SEPARATORS = ",;\t|"
PARQUET_SUFFIXES = (".parquet", ".pq")
ARCHIVE = b"PK\x03\x04"  # begins a zip archive, and so a workbook of Excel or LibreOffice
TOLD_SEPARATOR = "sep="  # on a line of its own before the first, as Excel writes and reads it


def read_table_file(table: Path) -> pl.DataFrame:
    """Return the rows of a table; those of CSV are texts.

    Raises:
        UserError: It cannot be read, or has no row.
    """
    whole = _read_parquet(table) if table.suffix.lower() in PARQUET_SUFFIXES else _read_csv(table)
    if whole.is_empty():
        raise UserError(f"{table}: there is no row in it, below the first line, which names the columns")
    return whole


def _read_csv(table: Path) -> pl.DataFrame:
    content: Path | bytes = table
    try:
        with table.open("rb") as file:
            first = file.readline()
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # Excel's "Unicode text"
            content = table.read_bytes().decode("utf-16", "replace").encode()
            first = content.partition(b"\n")[0]
    except OSError as error:
        raise UserError(f"{table}: cannot be read: {error.strerror or error}") from error
    if first.startswith(ARCHIVE):
        raise UserError(f"{table}: is a workbook or another archive: save the table as CSV, or as Parquet")
    header = first.decode("utf-8-sig", "replace").strip()
    is_told = header.startswith(TOLD_SEPARATOR) and len(header) == len(TOLD_SEPARATOR) + 1
    separator = header[-1] if is_told else max(SEPARATORS, key=header.count)
    try:
        rows = pl.read_csv(
            content, separator=separator, skip_rows=int(is_told), infer_schema=False, encoding="utf8-lossy"
        )
    except pl.exceptions.NoDataError:
        raise UserError(f"{table}: there is nothing in it") from None
    except pl.exceptions.PolarsError as error:
        raise UserError(
            f"{table}: cannot be read as CSV with {separator!r} between the columns: {str(error).splitlines()[0]}; "
            "each line needs the columns of the first one, and a text with a separator in it quotes around it"
        ) from error
    return rows.rename(lambda name: name.removeprefix("\ufeff").strip())


def _read_parquet(table: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(table, glob=False)
    except OSError as error:
        raise UserError(f"{table}: cannot be read: {error.strerror or error}") from error
    except pl.exceptions.PolarsError as error:
        raise UserError(f"{table}: is no Parquet file: {str(error).splitlines()[0]}") from error
