"""Build one partition of a manifest: write two Parquet files, or link them from an earlier artifact."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import polars as pl

from data_manifest import schemas
from data_manifest.store.files import link
from data_manifest.store.recipe import digest_of
from data_manifest.tables import read_notes, write_table
from pipeline.listing.leaves import LeafRange
from pipeline.listing.shuffle import SpilledPaths
from pipeline.metadata.fields import MINUS_1_TURNED, MINUS_1_UNKNOWN, NEGATIVE, ODD_HEADINGS
from pipeline.metadata.paths import distinct_paths
from pipeline.metadata.positions import FAR_APART_M, NOTICEABLY_APART_M
from pipeline.metadata.rejects import Reason
from pipeline.metadata.utm_faults import UTM_FAULTS
from pipeline.sources.source import NAMES_SOURCE, Reader

VERSION = 5  # raise it when the rows for the same paths change, or which rows are in which partition
COUNTS_NOTE = "counts"
HEADINGS, KEPT_UTM = "headings: ", "UTM kept: "  # prefixes of the names of counts; what is odd follows
Counts = Mapping[str, int | None]
Key = TypeVar("Key")


@dataclass(frozen=True)
class ManifestBuild:
    """A manifest being built.

    Args:
        folder: Folder of its tables.
        strict: As in `build_manifest`.
        earlier: Artifacts that may have the same partitions.
        reader: Reads what the images are.
    """

    folder: Path
    strict: bool
    earlier: tuple[Path, ...] = ()
    reader: Reader = NAMES_SOURCE


@dataclass(frozen=True)
class Built:
    """The name of a partition's files, its counts, and whether they were linked from an earlier artifact."""

    name: str
    counts: Counts
    is_linked: bool


def build_partition(manifest: ManifestBuild, images: SpilledPaths, negative_headings: bool | None = None) -> Built:
    """Write the manifest and rejects of a partition, or link them from an earlier artifact.

    `negative_headings` is as in `heading_in_range`; None until all partitions have been read once.
    """
    paths = distinct_paths(images.read())
    either = (False, True) if negative_headings is None else (negative_headings,)
    state = manifest.reader.state(paths)
    if linked := link_partition(images.leaves, manifest, either, state):
        return linked
    rows = manifest.reader.read(paths, manifest.strict, either[0])
    counts = {"repeats": paths.repeats, **count(rows)}
    name = _partition_name(images.leaves, manifest.strict, either[0], state)
    write_both(rows, manifest.folder, name, {COUNTS_NOTE: json.dumps(counts)})
    return Built(name, counts, is_linked=False)


def _partition_name(leaves: LeafRange, strict: bool, negative_headings: bool, state: bytes) -> str:
    """Return the name of a partition's files, with a digest of everything that their rows depend on."""
    decisive = [schemas.SCHEMA_VERSION, VERSION, strict, negative_headings, leaves.digest, state.hex()]
    return name_of(leaves.key, digest_of(decisive))


def name_of(key: str, digest: str) -> str:
    """Return the name of a partition's files, from its key and a digest of its content."""
    return f"part-{key}-{digest}.parquet"


def key_of(name: str) -> str:
    """Return the key of a partition from the name of its files."""
    return name.removeprefix("part-").rpartition("-")[0]


def link_partition(
    leaves: LeafRange, manifest: ManifestBuild, negative_headings: Iterable[bool] = (False, True), state: bytes = b""
) -> Built | None:
    """Link the files of a partition from the first earlier artifact that has both; None if there is none.

    With several `negative_headings`, either will do: the right one is known after all partitions have been read.
    """
    for each in negative_headings:
        name = _partition_name(leaves, manifest.strict, each, state)
        if any(_link(artifact, manifest.folder, name) for artifact in manifest.earlier):
            counts: Counts = json.loads(read_notes(manifest.folder / "manifest" / name)[COUNTS_NOTE])
            return Built(name, counts, is_linked=True)
        (manifest.folder / "rejects" / name).unlink(missing_ok=True)  # linked without a manifest, of a killed run
    return None


def _link(earlier: Path, folder: Path, name: str) -> bool:
    """Link both files of a partition from an earlier artifact; return whether it has them.

    The manifest's file is written last, so it exists only if the rejects file does.
    """
    for table in ("rejects", "manifest"):
        (folder / table).mkdir(exist_ok=True)
        if not link(earlier / table / name, folder / table / name):
            return False
    return True


def read_otherwise(counts: Mapping[Key, Counts]) -> tuple[bool, list[Key]]:
    """Return whether a data set has negative headings other than -1, and which partitions misread -1.

    Args:
        counts: What `count` returned for each partition of the data set.
    """
    negative = any(each[f"{HEADINGS}{NEGATIVE}"] for each in counts.values())
    wrong = f"{HEADINGS}{MINUS_1_UNKNOWN if negative else MINUS_1_TURNED}"
    return negative, [key for key, each in counts.items() if each[wrong]]


def write_both(images: pl.DataFrame, folder: Path, name: str, notes: Mapping[str, str] | None = None) -> None:
    """Write both tables of a partition, even without rows, so that each table exists."""
    usable = images.filter(pl.col("reject").is_null()).select(schemas.MANIFEST.names)
    rejected = images.filter(pl.col("reject").is_not_null()).select("path", pl.col("reject").struct.unnest())
    write_table(rejected, folder / "rejects" / name, schemas.REJECTS)
    write_table(usable, folder / "manifest" / name, schemas.MANIFEST, notes=notes)


def count(images: pl.DataFrame) -> Counts:
    """Return counts of a partition's rows, and its first and last year."""
    usable = pl.col("reject").is_null()
    reason = pl.col("reject").struct.field("reason")
    is_odd_time = pl.lit(False) if "is_odd_time" not in images.columns else pl.col("is_odd_time")  # as of names
    counts = images.select(
        usable=usable.sum(),
        rejects=(~usable).sum(),
        **{f"rejects: {each.value}": (reason == each.value).sum() for each in Reason},
        without_heading=(usable & pl.col("heading").is_null()).sum(),
        **{f"{HEADINGS}{odd}": (usable & (pl.col("odd_heading") == odd)).sum() for odd in ODD_HEADINGS},
        **{f"{KEPT_UTM}{fault}": (usable & (pl.col("utm_fault") == fault)).sum() for fault in UTM_FAULTS},
        odd_times=(usable & is_odd_time).sum(),
        apart_over_1_m=(usable & (pl.col("apart_m") > NOTICEABLY_APART_M)).sum(),
        apart_over_1_km=(usable & (pl.col("apart_m") > FAR_APART_M)).sum(),
        first_year=pl.col("year").filter(usable).min(),
        last_year=pl.col("year").filter(usable).max(),
    )
    return counts.row(0, named=True)
