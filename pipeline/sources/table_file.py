"""A user's table from its file as programs of all kinds write it: CSV, JSON, Parquet or a folder of Parquet files."""

import codecs
import logging
import os
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError
from data_manifest.store.recipe import digest_of, digest_of_file

SEPARATORS = ",;\t|"
PARQUET_SUFFIXES = (".parquet", ".pq")
PARQUET_BEGIN, JSON_BEGINS = b"PAR1", ("[", "{")
OTHER_BEGINS = {
    b"PK\x03\x04": "a workbook or another archive",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel",
    b"\x1f\x8b": "compressed",
    b"SQLite format 3": "a database",
}
TOLD_SEPARATOR = "sep="  # on a line of its own before the first, as Excel writes and reads it
BLOCK = 1 << 24
logger = logging.getLogger(__name__)


def digest_of_table(table: Path) -> str:
    """Return a digest of a table's content.

    Raises:
        UserError: It cannot be read.
    """
    if not table.is_dir():
        try:
            return digest_of_file(table)
        except UserError as error:
            raise UserError(f"table = {error}. Check --table.") from None
    return digest_of([(str(file.relative_to(table)), digest_of_file(file)) for file in _parquet_files(table)])


def read_table_file(table: Path) -> pl.DataFrame:
    """Return the rows of a table; those of CSV are texts.

    Raises:
        UserError: It cannot be read, or has no row.
    """
    try:
        whole = _read_folder(table) if table.is_dir() else _read_file(table)
    except OSError as error:
        raise UserError(f"{table} cannot be read: {error.strerror or error}") from None
    if whole.is_empty():
        raise UserError(f"{table} has no row below its first line, which names the columns.")
    return whole


def _read_file(table: Path) -> pl.DataFrame:
    with table.open("rb") as file:
        first = next((line for line in file if line.strip()), b"")
    if first.startswith(PARQUET_BEGIN) or table.suffix.lower() in PARQUET_SUFFIXES:
        return _read_parquet(table)
    for begin, kind in OTHER_BEGINS.items():
        if first.startswith(begin):
            raise UserError(f"{table} is {kind}. Save the table as CSV or Parquet.")
    content = _in_utf8(table, first)
    if isinstance(content, bytes):
        first = content.lstrip().partition(b"\n")[0]
    if b"\0" in first:
        raise UserError(f"{table} is neither text nor Parquet. Save the table as CSV in UTF-8.")
    header = first.decode("utf-8-sig").strip()
    return _read_json(table, content) if header.startswith(JSON_BEGINS) else _read_csv(table, content, header)


def _in_utf8(table: Path, first: bytes) -> Path | bytes:
    """Return a text file's content in UTF-8 with lines that end in LF; its path if it has that form already."""
    is_utf16 = first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # Excel's "Unicode text"
    has_cr_lines = b"\r" in first.rstrip(b"\r\n")  # as on old Macs
    if not (is_utf16 or has_cr_lines) and _is_utf8(table):
        return table
    content = table.read_bytes()
    try:
        text = content.decode("utf-16") if is_utf16 else _of_utf8_or_1252(table, content)
    except UnicodeDecodeError:
        name = "damaged UTF-16" if is_utf16 else "neither UTF-8 nor Windows-1252"
        raise UserError(f"{table} is {name}. Save the table as CSV in UTF-8.") from None
    return (text.replace("\r\n", "\n").replace("\r", "\n") if has_cr_lines else text).encode()


def _is_utf8(table: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with table.open("rb") as file:
        try:
            while block := file.read(BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _of_utf8_or_1252(table: Path, content: bytes) -> str:
    """Return a text whose lines are UTF-8 or, as Excel saves CSV, Windows-1252."""
    lines, num_odd = [], 0
    for line in content.removeprefix(codecs.BOM_UTF8).splitlines(keepends=True):
        try:
            lines.append(line.decode())
        except UnicodeDecodeError:
            lines.append(line.decode("cp1252"))
            num_odd += 1
    if num_odd and b"\0" not in content:
        text = "%s is not UTF-8: %s lines are read as Windows-1252. If names come out wrong, save it as UTF-8."
        logger.warning(text, table, f"{num_odd:,}")
    return "".join(lines)


def _read_csv(table: Path, content: Path | bytes, header: str) -> pl.DataFrame:
    is_told = header.startswith(TOLD_SEPARATOR) and len(header) == len(TOLD_SEPARATOR) + 1
    separator = header[-1] if is_told else max(SEPARATORS, key=header.count)
    try:
        rows = pl.read_csv(content, separator=separator, skip_rows=int(is_told), infer_schema=False, glob=False)
    except pl.exceptions.NoDataError:
        raise UserError(f"{table} is empty.") from None
    except pl.exceptions.PolarsError as error:
        raise UserError(
            f"{table} cannot be read as CSV with {separator!r} between the columns: {str(error).splitlines()[0]}. "
            "Each line needs the columns of the first one, and a text with a separator in it quotes around it."
        ) from None
    rows.columns = _distinct(name.removeprefix("\ufeff").strip() for name in rows.columns)
    return rows


def _distinct(names: Iterable[str]) -> list[str]:
    """Return distinct names: repeated ones are numbered as polars does."""
    found: list[str] = []
    for name in names:
        found.append(f"{name}_duplicated_{len(found)}" if name in found else name)
    return found


def _read_json(table: Path, content: Path | bytes) -> pl.DataFrame:
    content = content.read_bytes().removeprefix(codecs.BOM_UTF8) if isinstance(content, Path) else content
    read = pl.read_json if content.lstrip().startswith(b"[") else pl.read_ndjson
    try:
        return read(content, infer_schema_length=None)
    except pl.exceptions.PolarsError:
        raise UserError(
            f"{table} is JSON, but neither an array of objects nor one object per line. Save the table as CSV."
        ) from None


def _read_folder(table: Path) -> pl.DataFrame:
    """Return the rows of all Parquet files below a folder, with the values that folders such as zone=31 give."""
    parts = []
    for file in _parquet_files(table):
        folders = (folder.partition("=") for folder in file.relative_to(table).parts[:-1])
        given = {name: pl.lit(value) for name, equals, value in folders if equals}
        parts.append(_read_parquet(file).with_columns(**given))
    try:
        return pl.concat(parts, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise UserError(f"{table}: its Parquet files differ: {str(error).splitlines()[0]}") from None


def _parquet_files(table: Path) -> list[Path]:
    """Return the Parquet files below a folder, sorted. Names that begin with . or _ are hidden and skipped."""

    def refuse(error: OSError) -> None:
        raise UserError(f"{table} cannot be read: {error.strerror}") from None

    found = []
    for folder, folders, names in os.walk(table, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        found += [Path(folder, name) for name in names if not name.startswith((".", "_"))]
    files = sorted(file for file in found if file.suffix.lower() in PARQUET_SUFFIXES)
    if not files:
        raise UserError(f"{table} is a folder without a Parquet file. Give --table a CSV or Parquet file.")
    return files


def _read_parquet(table: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(table, glob=False, hive_partitioning=False)
    except pl.exceptions.PolarsError as error:
        raise UserError(f"{table} cannot be read as Parquet: {str(error).splitlines()[0]}") from None
