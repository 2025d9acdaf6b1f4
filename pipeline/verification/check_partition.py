"""The parts of a verification: the images of a partition whose check is not known, and their check.

A check is known by the file's size and modification time. Checks are kept as soon as some hundred images are done, so
that a run that is killed loses little.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError
from data_manifest.images.file_states import (
    STATE,
    PartitionStates,
    read_paths,
    require_folder,
    settled_states,
    summarise_states,
)
from data_manifest.schemas import CHECKS
from data_manifest.store.files import link
from data_manifest.store.recipe import digest_of
from data_manifest.tables import write_table
from pipeline.manifest.build_partition import key_of, name_of
from pipeline.verification.image_parts import Status
from pipeline.verification.settings import VerifySettings

IMAGES_AT_A_TIME = 1_000
BYTES_AT_A_TIME = 200_000_000
ROW = pl.Schema({**pl.Schema(CHECKS), "status": pl.String()})
NOT_LISTED = "not in the list of checksums"
VANISHED, OK = Status.VANISHED.value, Status.OK.value
SHOWN = 3


@dataclass(frozen=True)
class Checking:
    """How images are checked.

    Args:
        images_folder: Where they lie.
        check: "header" or "decode".
        settings: What else makes one a bad one.
        checksums: An Arrow file of `path` and `checksum`, if there is a list of them.
        kept: The folder for checks that are finished.
        version: The digest of all that decides what a check comes to, beside the file.
    """

    images_folder: Path
    check: str
    settings: VerifySettings
    checksums: Path | None
    kept: Path
    version: str


@dataclass(frozen=True)
class Partition:
    """The images of one file of a manifest.

    Args:
        manifest_file: The file.
        checking: How they are checked.
        folder: The artifact that is being made.
        earlier: Artifacts with checks of the same version, the newest first.
    """

    manifest_file: Path
    checking: Checking
    folder: Path
    earlier: tuple[Path, ...]

    @property
    def key(self) -> str:
        """What the partition is called, whatever is in it."""
        return f"part-{key_of(self.manifest_file.name)}"

    @property
    def todo(self) -> Path:
        """The Arrow file of the images that are to be checked."""
        return self.folder / "scratch" / f"{self.manifest_file.stem}.arrow"


@dataclass(frozen=True)
class Todo:
    """What is left to do of a partition: the rows of `Partition.todo` at a time, and the bytes of all."""

    seen: PartitionStates
    name: str
    was_there: bool
    pieces: tuple[tuple[int, int], ...] = ()
    num_bytes: int = 0


def find_todo(partition: Partition) -> Todo:
    """Link a partition's checks where an earlier artifact has them, or find the images whose check is not known."""
    states = _states_of(partition)
    seen = summarise_states(states)
    version = digest_of([partition.checking.version, seen.digest])
    name = name_of(key_of(partition.manifest_file.name), version)
    (partition.folder / "checks").mkdir(exist_ok=True)
    if any(link(earlier / "checks" / name, partition.folder / "checks" / name) for earlier in partition.earlier):
        return Todo(seen, name, was_there=True)
    todo = _unknown(states, _known(partition, states))
    pieces = tuple(_pieces(todo))
    _with_checksums(todo, partition.checking).write_ipc(partition.todo)
    return Todo(seen, name, False, pieces, int(todo["bytes"].sum()))


def _states_of(partition: Partition) -> pl.DataFrame:
    """Return the file states of a partition's images."""
    require_folder(partition.checking.images_folder)  # another machine's disk may not be mounted here
    return settled_states(read_paths(partition.manifest_file), partition.checking.images_folder)


def _known(partition: Partition, states: pl.DataFrame) -> pl.DataFrame:
    """Return the checks that are known of a partition's images, whether these are still the same or not.

    Where the earlier artifact has no such partition, as when one was cut in two, they are looked for in all of it.
    """
    pattern = f"{partition.key}-*.parquet"
    files = sorted(partition.checking.kept.glob(pattern))
    for earlier in partition.earlier[:1]:
        files += sorted((earlier / "checks").glob(pattern)) or sorted((earlier / "checks").glob("*.parquet"))
    known = [each.join(states, on="path", how="semi") for each in _read_those_there(files)]
    return pl.concat([pl.DataFrame(schema=ROW), *known]).unique(STATE, keep="first")


def _read_those_there(files: Iterable[Path]) -> Iterator[pl.DataFrame]:
    """Give the checks in files; another process may be removing them."""
    for file in files:
        try:
            yield pl.read_parquet(file, glob=False).cast({"status": pl.String}).select(ROW.names())
        except (OSError, pl.exceptions.PolarsError):
            continue


def _unknown(states: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return the files that are there and whose check is not known."""
    return states.drop_nulls().join(known, on=STATE, how="anti", maintain_order="left")


def _with_checksums(todo: pl.DataFrame, checking: Checking) -> pl.DataFrame:
    if checking.checksums is None:
        return todo.with_columns(checksum=pl.lit(None, pl.String))
    listed = pl.scan_ipc(checking.checksums)
    return todo.lazy().join(listed, on="path", how="left", maintain_order="left").collect()


def _pieces(todo: pl.DataFrame) -> Iterator[tuple[int, int]]:
    """Give the first row and the number of rows of each piece: neither many images nor many bytes."""
    cost = pl.col("bytes") / BYTES_AT_A_TIME + 1 / IMAGES_AT_A_TIME
    begin = 0
    for length in todo.select(cost.cum_sum().floor())["bytes"].rle().struct.field("len"):
        yield begin, length
        begin += length


@dataclass(frozen=True)
class Piece:
    """Some images of a partition that are to be checked."""

    partition: Partition
    begin: int
    length: int


@dataclass(frozen=True)
class Done:
    """How many images were checked, how many bytes were read for it, and which ones the machine did not give."""

    images: int
    bytes_read: int
    refused: tuple[str, ...] = ()


def check_piece(piece: Piece) -> Done:
    """Check some images, and keep what was found."""
    checking = piece.partition.checking
    checking.images_folder.stat()  # a machine that does not see it must not say that all images have vanished
    todo = pl.scan_ipc(piece.partition.todo).slice(piece.begin, piece.length).collect()
    checks, done = _check_all(todo, checking)
    write_table(checks, checking.kept / f"{piece.partition.key}-{uuid.uuid4().hex}.parquet", CHECKS)
    return done


def stop_if_refused(images_folder: Path, refused: Sequence[str]) -> None:
    """Check that the machine has given all files: what it refuses is not damaged, and could be whole the next time.

    Raises:
        UserError: It has not.
    """
    if refused:
        examples = "; ".join(refused[:SHOWN])
        raise UserError(
            f"{images_folder}: the machine does not give {len(refused):,} images to read, as {examples}. "
            "That is no damage of theirs: see to the disk, the rights and the limits, or move them away, and run "
            "again: what is checked is kept"
        )


def _check_all(todo: pl.DataFrame, checking: Checking) -> tuple[pl.DataFrame, Done]:
    """Return the checks of images, without those that the machine does not give."""
    from pipeline.verification.check_image import check_image

    rows, bytes_read, refused = [], 0, []
    for path, checksum in todo.select("path", "checksum").iter_rows():
        try:
            found = check_image(f"{checking.images_folder}/{path}", checking.check, checking.settings, checksum)
        except OSError as error:
            refused.append(f"{path} ({error.strerror or error})")
            continue
        bytes_read += found.bytes_read
        detail = found.detail
        if checking.checksums is not None and checksum is None and found.status == OK:
            detail = "; ".join(filter(None, (detail, NOT_LISTED)))
        state = (found.bytes, found.modified_ns)
        rows.append((path, found.width, found.height, found.mode, *state, found.status.value, detail))
    return pl.DataFrame(rows, schema=ROW, orient="row"), Done(len(todo), bytes_read, tuple(refused))


def finish_partition(job: tuple[Partition, Todo]) -> None:
    """Write the checks of a partition from those that are known.

    Raises:
        UserError: Its images are no longer those that were checked.
    """
    partition, todo = job
    states = _states_of(partition)
    known = _known(partition, states)
    unknown = _unknown(states, known)
    same = summarise_states(states) == todo.seen
    if same and not unknown.is_empty():  # another run, which had the same to do, is tidying up
        checks, done = _check_all(_with_checksums(unknown, partition.checking), partition.checking)
        stop_if_refused(partition.checking.images_folder, done.refused)
        known = pl.concat([known, checks])
        unknown = _unknown(states, known)
    if not same or not unknown.is_empty():
        folder = partition.checking.images_folder
        raise UserError(f"{folder}: images have changed while they were being checked: run again")
    gone = pl.col("bytes").is_null()
    checks = states.join(known, on=STATE, how="left", maintain_order="left").with_columns(
        status=pl.when(gone).then(pl.lit(VANISHED)).otherwise("status")
    )
    write_table(checks, partition.folder / "checks" / todo.name, CHECKS)
