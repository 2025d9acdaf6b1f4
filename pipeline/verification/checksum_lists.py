"""Read lists of checksums: the output of `sha256sum` and the like, .sfv lists, and the directories of zip archives."""

import functools
import hashlib
import zipfile
import zlib
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.store.recipe import DIGEST_LENGTH

ALGORITHMS = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}  # by hexadecimal digits
CRC_DIGITS = 8
NOT_IN_PATHS = "\x01"
LINE_FORMS = (
    r"^\\?(?P<checksum>[0-9A-Fa-f]{8,128}) [ *](?P<path>.+)$",  # GNU
    r"^[A-Z0-9/-]+ ?\((?P<path>.+)\) ?= ?(?P<checksum>[0-9A-Fa-f]+)$",  # BSD
    r"^(?P<path>.+) (?P<checksum>[0-9A-Fa-f]{8})$",  # .sfv
)
CHECKSUMS = pl.Schema({"path": pl.String(), "checksum": pl.String()})
COMMENT = r"^\s*([;#]|$)"


@functools.cache  # reading takes seconds per million files, and one command needs it more than once
def read_checksums(source: Path, images_folder: ImagesFolder) -> pl.DataFrame:
    """Return `path`, relative to the images folder, and `checksum` in lower-case hexadecimal digits, sorted by path.

    Paths may start at a folder further up, as in a list of a whole archive. Files outside the folder are dropped.

    Raises:
        UserError: The source cannot be read, is not such a list, or has two checksums for one file.
    """
    try:
        listed = _read_archive(source) if zipfile.is_zipfile(source) else _read_list(source)
    except (OSError, zipfile.BadZipFile, pl.exceptions.PolarsError) as error:
        raise UserError(f"checksum = {source}: the list of checksums cannot be read: {error}") from error
    below = _below(listed.with_columns(pl.col("path").str.strip_prefix("./")), images_folder).unique().sort("path")
    repeated = below.filter(pl.col("path").is_duplicated())
    if not repeated.is_empty():
        raise UserError(f"checksum = {source}: {repeated['path'][0]} has several checksums. Keep one.")
    return below


@functools.cache
def digest_of_checksums(source: Path, images_folder: ImagesFolder) -> str:
    """Return a digest of the result of `read_checksums`."""
    content = hashlib.sha256()
    for rows in read_checksums(source, images_folder).iter_slices():
        content.update(rows.write_csv().encode())
    return content.hexdigest()[:DIGEST_LENGTH]


def _read_archive(source: Path) -> pl.DataFrame:
    with zipfile.ZipFile(source) as archive:
        rows = [(entry.filename, f"{entry.CRC:0{CRC_DIGITS}x}") for entry in archive.infolist() if not entry.is_dir()]
    return pl.DataFrame(rows, schema=CHECKSUMS, orient="row")


def _read_list(source: Path) -> pl.DataFrame:
    lines = pl.read_csv(
        source,
        has_header=False,
        new_columns=["line"],
        separator=NOT_IN_PATHS,
        quote_char=None,
        infer_schema=False,
        encoding="utf8-lossy",
        raise_if_empty=False,
    )
    if lines.is_empty():
        raise UserError(f"checksum = {source}: the list is empty.")
    line = pl.col("line").str.strip_chars_end("\r").fill_null("")
    fields = [line.str.extract_groups(form) for form in LINE_FORMS]
    columns = {name: pl.coalesce(each.struct.field(name) for each in fields) for name in ("path", "checksum")}
    read = lines.with_row_index("number", 1).filter(~line.str.contains(COMMENT)).with_columns(**columns)
    digits = pl.col("checksum").str.len_bytes()
    wrong = read.filter(~digits.is_in([CRC_DIGITS, *ALGORITHMS]).fill_null(False)).head(1)
    if not wrong.is_empty():
        number, text = wrong.row(0)[:2]
        raise UserError(
            f"checksum = {source}: line {number} is {text[:80]!r}. Give a list of checksums and paths as sha256sum "
            "prints it, or a zip archive."
        )
    return read.select("path", pl.col("checksum").str.to_lowercase())


def _below(listed: pl.DataFrame, images_folder: ImagesFolder) -> pl.DataFrame:
    """Return the listed files in the images folder, relative to it, or all files if no path names the folder."""
    folder = images_folder.resolve()
    parts = folder.key.split("/") if isinstance(folder, ImagesUrl) else folder.parts[1:]
    ends = ["/".join(parts[begin:]) + "/" for begin in range(len(parts))]
    for start in (f"{folder}/", f"{images_folder}/", *ends):
        inside = listed.filter(pl.col("path").str.starts_with(start))
        if not inside.is_empty():
            return inside.with_columns(pl.col("path").str.strip_prefix(start))
    return listed


def checksum_of(content: bytes, like: str) -> str:
    """Return the checksum of a content, by the algorithm that gives as many digits as `like` has."""
    if len(like) == CRC_DIGITS:
        return f"{zlib.crc32(content):0{CRC_DIGITS}x}"
    return hashlib.new(ALGORITHMS[len(like)], content, usedforsecurity=False).hexdigest()
