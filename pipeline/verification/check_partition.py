"""Find the unchecked images of a partition of the manifest, and check them in pieces."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_manifest.images.file_states import STATE
from data_manifest.schemas import CHECKS
from data_manifest.tables import write_table
from pipeline.verification.bad_image import Status
from pipeline.verification.settings import VerifySettings

MAX_IMAGES_PER_PIECE = 1_000
MAX_BYTES_PER_PIECE = 200_000_000
CHECKS_AS_TEXT = pl.Schema({**pl.Schema(CHECKS), "status": pl.String()})
NOT_LISTED = "not in the list of checksums"


@dataclass(frozen=True)
class Checking:
    """How images are checked.

    Args:
        images_folder: Folder of the images.
        check: "header" or "decode".
        settings: What else makes an image bad.
        cache: Folder for the finished checks of runs that have not ended.
    """

    images_folder: Path
    check: str
    settings: VerifySettings
    cache: Path


@dataclass(frozen=True)
class Piece:
    """Images to check: `path` and `checksum`, null if not listed. `partition` is the key of their partition."""

    checking: Checking
    partition: str
    images: pl.DataFrame


@dataclass(frozen=True)
class CheckedPiece:
    """The checks of a piece, the bytes read, and the images that could not be read, with the reasons."""

    partition: str
    checks: pl.DataFrame
    bytes_read: int
    unreadable: list[str]


def known_checks(partition: str, states: pl.DataFrame, cache: Path, earlier: Path | None) -> pl.DataFrame:
    """Return the known checks of a partition's images, which may have changed since.

    Args:
        partition: Key of the partition.
        states: File states of its images.
        cache: Folder of checks of unfinished runs.
        earlier: Folder of checks, all of which are searched if it lacks the partition because one was split.
    """
    pattern = f"part-{partition}-*.parquet"
    files = sorted(cache.glob(pattern))
    if earlier is not None:
        files += sorted(earlier.glob(pattern)) or sorted(earlier.glob("*.parquet"))
    known = [pl.DataFrame(schema=CHECKS_AS_TEXT)]
    for file in files:
        try:
            checks = pl.read_parquet(file, glob=False).cast({"status": pl.String}).select(CHECKS_AS_TEXT.names())
        except (OSError, pl.exceptions.PolarsError):  # another process may be removing it
            continue
        known.append(checks.join(states, on="path", how="semi"))
    return pl.concat(known).unique(STATE, keep="first")


def unchecked_pieces(
    partition: str, states: pl.DataFrame, known: pl.DataFrame, checksums: pl.DataFrame, checking: Checking
) -> Iterator[Piece]:
    """Yield the existing images without a known check, in pieces of limited numbers of images and bytes.

    Args:
        partition: Key of the partition.
        states: File states of its images.
        known: Its known checks.
        checksums: `path` and `checksum` of listed files.
        checking: How to check them.
    """
    unchecked = states.drop_nulls().join(known, on=STATE, how="anti", maintain_order="left")
    images = unchecked.join(checksums, on="path", how="left", maintain_order="left")
    cost = pl.col("bytes") / MAX_BYTES_PER_PIECE + 1 / MAX_IMAGES_PER_PIECE
    begin = 0
    for length in images.select(cost.cum_sum().floor())["bytes"].rle().struct.field("len"):
        yield Piece(checking, partition, images.slice(begin, length).select("path", "checksum"))
        begin += length


def check_piece(piece: Piece) -> CheckedPiece:
    """Return the checks of all images of a piece that can be read, and save them in the cache."""
    from pipeline.verification.check_image import check_image

    checking, rows, bytes_read, unreadable = piece.checking, [], 0, []
    checking.images_folder.stat()  # without the folder, all images would count as vanished
    for path, checksum in piece.images.iter_rows():
        try:
            found = check_image(f"{checking.images_folder}/{path}", checking.check, checking.settings, checksum)
        except OSError as error:
            unreadable.append(f"{path} ({error.strerror or error})")
            continue
        bytes_read += found.bytes_read
        detail = found.detail
        if checking.settings.checksum is not None and checksum is None and found.status is Status.OK:
            detail = "; ".join(filter(None, (detail, NOT_LISTED)))
        state = (found.bytes, found.modified_ns)
        rows.append((path, found.width, found.height, found.mode, *state, found.status.value, detail))
    checks = pl.DataFrame(rows, schema=CHECKS_AS_TEXT, orient="row")
    write_table(checks, checking.cache / f"part-{piece.partition}-{uuid.uuid4().hex}.parquet", CHECKS)
    return CheckedPiece(piece.partition, checks, bytes_read, unreadable)
