"""Check the images of a manifest partition by partition, and write a checks table for each."""

import itertools
import operator
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError
from data_manifest.images import file_states
from data_manifest.images.file_states import STATE, ImageStates
from data_manifest.images.image_store import store_of
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.progress import Progress
from data_manifest.schemas import CHECKS
from data_manifest.store.files import format_bytes, link
from data_manifest.store.recipe import digest_of
from data_manifest.tables import table_files, write_table
from pipeline.execution.executor import run_all
from pipeline.manifest.build_partition import key_of, name_of
from pipeline.verification.bad_image import Status
from pipeline.verification.settings import VerifySettings

MAX_IMAGES_PER_PIECE = 1_000
MAX_BYTES_PER_PIECE = 200_000_000
MAX_UNREADABLE = 1_000  # with more, the run stops early
MAX_EXAMPLES = 3
Piece = tuple[str, pl.DataFrame]  # key of a partition; images to check: `path`, and `checksum`, null if not listed
CHECKS_AS_TEXT = pl.Schema({**pl.Schema(CHECKS), "status": pl.String()})


@dataclass(frozen=True)
class Checking:
    """Settings of the check of a partition's images."""

    images_folder: ImagesFolder
    check: str  # "header" or "decode"
    settings: VerifySettings
    cache: Path  # folder for the finished checks of runs that have not ended


@dataclass
class Verification:
    """Checks the images of all partitions and writes their tables."""

    checking: Checking
    checksums: pl.DataFrame  # `path` and `checksum` of listed files
    version: str  # digest of everything that decides a verdict, apart from the file
    tables: Path  # folder of the new tables
    earlier: list[Path]  # folders of tables of the same version, newest first
    # Table file, file states and known checks of partitions with pieces in work, by key.
    unfinished: dict[str, tuple[Path, pl.DataFrame, pl.DataFrame]] = field(default_factory=dict)

    def check_images(
        self, manifest: Path, files: ImageStates, progress: Progress, executor: Executor | None = None
    ) -> None:
        """Check the images of a manifest and write the table of each partition after its last piece.

        Raises:
            UserError: Images change, or cannot be read.
        """
        began, total_bytes, all_unreadable = time.monotonic(), 0, list[str]()
        pieces = self._find_pieces(manifest, files, progress)
        results = run_all(partial(check_piece, self.checking), pieces, None, executor)
        for partition, checked in itertools.groupby(results, operator.itemgetter(0)):
            known = []
            for _, checks, bytes_read, unreadable in checked:
                known.append(checks)
                total_bytes += bytes_read
                all_unreadable += unreadable
                if len(all_unreadable) > MAX_UNREADABLE:
                    raise self._unreadable(all_unreadable)
                rate = format_bytes(total_bytes / max(time.monotonic() - began, 1e-9))
                progress.advance(len(checks) + len(unreadable), read=f"{rate}/s")
            if not all_unreadable:
                self._finish(partition, known)
        if all_unreadable:
            raise self._unreadable(all_unreadable)

    def _find_pieces(self, manifest: Path, files: ImageStates, progress: Progress) -> Iterator[Piece]:
        """Yield the unchecked images; tables of partitions without any are linked or written at once."""
        for file, expected in zip(table_files(manifest.absolute(), "manifest"), files.partitions, strict=True):
            key = key_of(file.name)
            states = file_states.stat_images(file_states.read_paths(file), self.checking.images_folder)
            if file_states.summarise_states(states) != expected:
                raise self._changed()
            table = self.tables / name_of(key, digest_of([self.version, expected.digest]))
            if any(link(folder / table.name, table) for folder in self.earlier):
                progress.advance(expected.images)
                continue
            known = _known_checks(key, states, self.checking.cache, next(iter(self.earlier), None))
            self.unfinished[key] = table, states, known
            pieces = list(self._unchecked_pieces(key, states, known))
            progress.advance(expected.images - sum(len(images) for _, images in pieces))
            if not pieces:
                self._finish(key, [])
            yield from pieces

    def _unchecked_pieces(self, partition: str, states: pl.DataFrame, known: pl.DataFrame) -> Iterator[Piece]:
        """Yield the images to check in pieces of limited numbers of images and bytes."""
        unchecked = states.drop_nulls().join(known, on=STATE, how="anti", maintain_order="left")
        images = unchecked.join(self.checksums, on="path", how="left", maintain_order="left")
        cost = pl.col("bytes") / MAX_BYTES_PER_PIECE + 1 / MAX_IMAGES_PER_PIECE
        begin = 0
        for length in images.select(cost.cum_sum().floor())["bytes"].rle().struct.field("len"):
            yield partition, images.slice(begin, length).select("path", "checksum")
            begin += length

    def _finish(self, partition: str, checked: list[pl.DataFrame]) -> None:
        table, states, known = self.unfinished.pop(partition)
        checks = states.join(pl.concat([known, *checked]), on=STATE, how="left", maintain_order="left")
        status = pl.when(pl.col("bytes").is_null()).then(pl.lit(Status.VANISHED.value)).otherwise("status")
        checks = checks.with_columns(status=status)
        changed = file_states.changed_images(states, self.checking.images_folder)
        if checks["status"].has_nulls() or len(changed):
            raise self._changed()
        write_table(checks, table, CHECKS)

    def _changed(self) -> UserError:
        return UserError(f"{self.checking.images_folder}: images changed during the verification. Run again.")

    def _unreadable(self, images: list[str]) -> UserError:
        return UserError(
            f"{self.checking.images_folder}: cannot read {len(images):,} images, such as "
            f"{'; '.join(images[:MAX_EXAMPLES])}. The files may be fine: check the disk, permissions and ulimit, then "
            "run again. Finished checks are kept."
        )


def _known_checks(partition: str, states: pl.DataFrame, cache: Path, earlier: Path | None) -> pl.DataFrame:
    """Return the checks of a partition's images in the cache and an earlier artifact; images may have changed since.

    All earlier checks are searched if there are none of the partition, because one was split.
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


def check_piece(checking: Checking, piece: Piece) -> tuple[str, pl.DataFrame, int, list[str]]:
    """Check the images of a piece, and save their checks in the cache.

    Returns the partition, the checks, the bytes read, and the images that could not be read, with the reasons.
    """
    from pipeline.verification.check_image import check_image

    partition, images = piece
    rows, bytes_read, unreadable = [], 0, []
    all_opened = store_of(checking.images_folder).open(images["path"].to_list())
    for (path, checksum), opened in zip(images.iter_rows(), all_opened, strict=True):
        try:
            found = check_image(path, opened, checking.check, checking.settings, checksum)
        except OSError as error:
            unreadable.append(f"{path} ({error.strerror or error})")
        else:
            bytes_read += found.bytes_read
            size, state = (found.width, found.height, found.mode), (found.bytes, found.modified_ns)
            rows.append((path, *size, *state, found.status.value, found.detail))
    checks = pl.DataFrame(rows, schema=CHECKS_AS_TEXT, orient="row")
    write_table(checks, checking.cache / f"part-{partition}-{uuid.uuid4().hex}.parquet", CHECKS)
    return partition, checks, bytes_read, unreadable
