"""Lists of checksums to compare files with: what `sha256sum` and its like print, .sfv lists, and zip archives.

A zip archive has a CRC-32 of each file in its directory, at its end: the files need not be read from it.
"""

import functools
import hashlib
import zipfile
import zlib
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError
from data_manifest.store.recipe import DIGEST_LENGTH
from pipeline.listing.lines import flat_bytes

ALGORITHMS = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}  # by hexadecimal digits
CRC_DIGITS = 8
NO_COMMA = "\x01"  # a separator that no path has
FORMS = (
    r"^\\?(?P<checksum>[0-9A-Fa-f]{8,128}) [ *](?P<path>.+)$",  # as GNU's tools print it
    r"^[A-Z0-9/-]+ ?\((?P<path>.+)\) ?= ?(?P<checksum>[0-9A-Fa-f]+)$",  # as those of BSD do
    r"^(?P<path>.+) (?P<checksum>[0-9A-Fa-f]{8})$",  # .sfv
)
COMMENT = r"^\s*([;#]|$)"


def read_checksums(source: Path, images_folder: Path) -> pl.DataFrame:
    """Return the `path` below the images folder of each listed file with its `checksum` in hexadecimal digits.

    Paths may be written from a folder further up, as they are if a whole archive was listed; what is listed elsewhere
    is left out then.

    Raises:
        UserError: The source cannot be read, is no such list, or names a file with two checksums.
    """
    try:
        listed = _of_archive(source) if zipfile.is_zipfile(source) else _of_list(source)
    except (OSError, zipfile.BadZipFile, pl.exceptions.PolarsError) as error:
        raise UserError(f"checksum = {source}: cannot be read: {error}") from error
    below = _below(listed.with_columns(pl.col("path").str.strip_prefix("./")), images_folder).unique()
    twice = below.filter(pl.col("path").is_duplicated())
    if not twice.is_empty():
        path: str = twice["path"].sort()[0]
        raise UserError(f"checksum = {source}: {path} is listed with several checksums")
    return below.sort("path")


@functools.cache  # an archive's directory takes seconds a million files, and a command asks more than once
def digest_of_checksums(source: Path, images_folder: Path) -> str:
    """Return a digest of what `read_checksums` gives."""
    listed, content = read_checksums(source, images_folder), hashlib.sha256()
    for column in listed:
        letters, offsets = flat_bytes(column.cast(pl.Binary))
        content.update(offsets.tobytes())
        content.update(letters.tobytes())
    return content.hexdigest()[:DIGEST_LENGTH]


def _of_archive(source: Path) -> pl.DataFrame:
    with zipfile.ZipFile(source) as archive:
        rows = [(entry.filename, f"{entry.CRC:0{CRC_DIGITS}x}") for entry in archive.infolist() if not entry.is_dir()]
    return pl.DataFrame(rows, schema={"path": pl.String, "checksum": pl.String}, orient="row")


def _of_list(source: Path) -> pl.DataFrame:
    lines = pl.read_csv(
        source,
        has_header=False,
        new_columns=["line"],
        separator=NO_COMMA,
        quote_char=None,
        infer_schema=False,
        encoding="utf8-lossy",
        raise_if_empty=False,
    )
    if lines.is_empty():
        raise UserError(f"checksum = {source}: the list is empty")
    line = pl.col("line").str.strip_chars_end("\r").fill_null("")
    fields = [line.str.extract_groups(form) for form in FORMS]
    columns = {name: pl.coalesce(each.struct.field(name) for each in fields) for name in ("path", "checksum")}
    read = lines.with_row_index("number", 1).filter(~line.str.contains(COMMENT)).with_columns(**columns)
    digits = pl.col("checksum").str.len_bytes()
    wrong = read.filter(~digits.is_in([CRC_DIGITS, *ALGORITHMS]).fill_null(False)).head(1)
    if not wrong.is_empty():
        number, text = wrong.row(0)[:2]
        raise UserError(
            f"checksum = {source}: line {number} is {text[:80]!r}: expected a checksum and a path, as sha256sum prints "
            "them, or a zip archive"
        )
    return read.select("path", pl.col("checksum").str.to_lowercase())


def _below(listed: pl.DataFrame, images_folder: Path) -> pl.DataFrame:
    """Return paths written from above the images folder as relative to it, if any is."""
    folder = images_folder.resolve()
    ends = ["/".join(folder.parts[-length:]) + "/" for length in range(len(folder.parts) - 1, 0, -1)]
    for start in (f"{folder}/", f"{images_folder.as_posix()}/", *ends):
        inside = listed.filter(pl.col("path").str.starts_with(start))
        if not inside.is_empty():
            return inside.with_columns(pl.col("path").str.strip_prefix(start))
    return listed


def checksum_of(content: bytes, like: str) -> str:
    """Return the checksum of a content, of the kind that has as many digits as another."""
    if len(like) == CRC_DIGITS:
        return f"{zlib.crc32(content):0{CRC_DIGITS}x}"
    return hashlib.new(ALGORITHMS[len(like)], content, usedforsecurity=False).hexdigest()
