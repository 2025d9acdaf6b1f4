"""Read a user's table: CSV, JSON, Parquet, or a folder of Parquet files."""

import codecs
import contextlib
import io
import logging
import operator
import os
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError
from data_manifest.store.recipe import digest_of, digest_of_file

SEPARATORS = ",;\t|"
SEPARATOR_LINE = "sep="  # Excel may write the separator on a line of its own before the header
PARQUET_SUFFIXES = (".parquet", ".pq")
PARQUET_MAGIC, JSON_BEGINS = b"PAR1", ("[", "{")
OTHER_FORMATS = {
    b"PK\x03\x04": "a workbook or another archive",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel",
    b"\x1f\x8b": "compressed",
    b"SQLite format 3": "a database",
}
logger = logging.getLogger(__name__)


def digest_of_table(table: Path) -> str:
    """Return a digest of a table's content.

    Raises:
        UserError: The table cannot be read.
    """
    if table.is_dir():
        return digest_of([(str(file.relative_to(table)), digest_of_file(file)) for file in _parquet_files(table)])
    try:
        return digest_of_file(table)
    except UserError as error:
        raise UserError(f"table = {error}. Check --table.") from None


def read_table_file(table: Path) -> pl.DataFrame:
    """Return the rows of a table; columns of CSV are text.

    Raises:
        UserError: The table cannot be read, or has no row.
    """
    try:
        rows = _read_folder(table) if table.is_dir() else _read_file(table)
    except OSError as error:
        raise UserError(f"{table} cannot be read: {error.strerror or error}") from None
    if rows.is_empty():
        raise UserError(f"{table} has no rows, only column names.")
    return rows


def _read_file(table: Path) -> pl.DataFrame:
    with table.open("rb") as file:
        first = _first_line(file)
    if first.startswith(PARQUET_MAGIC) or table.suffix.lower() in PARQUET_SUFFIXES:
        return _read_parquet(table)
    for magic, name in OTHER_FORMATS.items():
        if first.startswith(magic):
            raise UserError(f"{table} is {name}. Save the table as CSV or Parquet.")
    content = _in_utf8(table, first)
    first = _first_line(io.BytesIO(content))
    if b"\0" in first:
        raise UserError(f"{table} is neither text nor Parquet. Save the table as CSV in UTF-8.")
    header = first.decode().strip()
    return _read_json(table, content) if header.startswith(JSON_BEGINS) else _read_csv(table, content, header)


def _first_line(lines: Iterable[bytes]) -> bytes:
    return next((line for line in lines if line.strip()), b"")


def _in_utf8(table: Path, first: bytes) -> bytes:
    """Return a file's content in UTF-8 without a BOM, with LF instead of CR."""
    content = table.read_bytes()
    is_utf16 = first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # Excel's "Unicode text"
    try:
        if is_utf16:
            content = content.decode("utf-16").encode()
        else:
            content = _lines_in_utf8(table, content.removeprefix(codecs.BOM_UTF8))
    except UnicodeDecodeError:
        name = "corrupt UTF-16" if is_utf16 else "neither UTF-8 nor Windows-1252"
        raise UserError(f"{table} is {name}. Save the table as CSV in UTF-8.") from None
    has_cr_lines = b"\r" in _first_line(io.BytesIO(content)).rstrip(b"\r\n")  # as on old Macs
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if has_cr_lines else content


def _lines_in_utf8(table: Path, content: bytes) -> bytes:
    """Return a content whose lines are UTF-8 or, as in Excel's CSV, Windows-1252."""
    if _is_utf8(content):
        return content
    lines = content.splitlines(keepends=True)
    in_utf8 = [line if _is_utf8(line) else line.decode("cp1252").encode() for line in lines]
    if b"\0" not in content:
        num_1252 = sum(map(operator.ne, lines, in_utf8))
        text = "%s is not UTF-8: %s lines are read as Windows-1252. If names come out wrong, save it as UTF-8."
        logger.warning(text, table, f"{num_1252:,}")
    return b"".join(in_utf8)


def _is_utf8(content: bytes) -> bool:
    with contextlib.suppress(UnicodeDecodeError):
        content.decode()
        return True
    return False


def _read_csv(table: Path, content: bytes, header: str) -> pl.DataFrame:
    skip = header.startswith(SEPARATOR_LINE) and len(header) == len(SEPARATOR_LINE) + 1
    separator = header[-1] if skip else max(SEPARATORS, key=header.count)
    try:
        rows = pl.read_csv(content, separator=separator, skip_rows=int(skip), infer_schema=False, glob=False)
    except pl.exceptions.NoDataError:
        raise UserError(f"{table} is empty.") from None
    except pl.exceptions.PolarsError as error:
        raise UserError(
            f"{table} cannot be read as CSV with separator {separator!r}: {str(error).splitlines()[0]}. Each line "
            "needs the columns of the first one, and quotes around a text that contains the separator."
        ) from None
    rows.columns = _distinct(name.strip() for name in rows.columns)
    return rows


def _distinct(names: Iterable[str]) -> list[str]:
    """Return distinct names: repeated ones are numbered as in polars."""
    distinct: list[str] = []
    for name in names:
        distinct.append(f"{name}_duplicated_{len(distinct)}" if name in distinct else name)
    return distinct


def _read_json(table: Path, content: bytes) -> pl.DataFrame:
    read = pl.read_json if content.lstrip().startswith(b"[") else pl.read_ndjson
    try:
        return read(content, infer_schema_length=None)
    except pl.exceptions.PolarsError:
        raise UserError(
            f"{table} is JSON, but neither an array of objects nor one object per line. Save the table as CSV."
        ) from None


def _read_folder(table: Path) -> pl.DataFrame:
    """Return the rows of a folder, with columns from subfolders such as zone=31."""
    parts = []
    for file in _parquet_files(table):
        folders = (folder.partition("=") for folder in file.relative_to(table).parts[:-1])
        from_folders = {name: pl.lit(value) for name, equals, value in folders if equals}
        parts.append(_read_parquet(file).with_columns(**from_folders))
    try:
        return pl.concat(parts, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise UserError(f"{table}: its Parquet files differ: {str(error).splitlines()[0]}") from None


def _parquet_files(table: Path) -> list[Path]:
    """Return the sorted Parquet files in a folder, without hidden ones (. or _)."""

    def refuse(error: OSError) -> None:
        raise UserError(f"{table} cannot be read: {error.strerror}") from None

    files: list[Path] = []
    for folder, folders, names in os.walk(table, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        files += [Path(folder, name) for name in names if not name.startswith((".", "_"))]
    files = sorted(file for file in files if file.suffix.lower() in PARQUET_SUFFIXES)
    if not files:
        raise UserError(f"{table} is a folder without a Parquet file. Give --table a CSV or Parquet file.")
    return files


def _read_parquet(table: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(table, glob=False, hive_partitioning=False)
    except pl.exceptions.PolarsError as error:
        raise UserError(f"{table} cannot be read as Parquet: {str(error).splitlines()[0]}") from None
