"""One partition of a manifest: from paths to two Parquet files, or to a link to those that are there already."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import xxhash

from data_manifest import schemas
from data_manifest.store.files import link
from data_manifest.tables import read_notes, write_table
from pipeline.listing.list_images import Images
from pipeline.metadata.fields import MINUS_1_TURNED, MINUS_1_UNKNOWN, NEGATIVE, ODD_HEADINGS
from pipeline.metadata.positions import FAR_APART_M, NOTICEABLY_APART_M
from pipeline.metadata.read_names import decode_paths, distinct_paths
from pipeline.metadata.rejects import Reason
from pipeline.metadata.utm_faults import UTM_FAULTS
from pipeline.sources.names_source import NAMES_READER
from pipeline.sources.source import Reader
from pipeline.texts import Texts

VERSION = 5  # raise it when the rows for the same paths change, or which rows are in which partition
COUNTS_NOTE = "counts"
HEADINGS, KEPT_UTM = "headings: ", "UTM kept: "  # prefixes of the names of counts; what is odd follows
Counts = Mapping[str, int | None]


@dataclass(frozen=True)
class Partition:
    """A partition to be made.

    Args:
        key: What `partitions` calls it.
        images: Its images.
        strict: As in `build_manifest`.
        folder: The artifact that is being made.
        earlier: Artifacts that may have the very same partition.
        name_before: What its files are called there, where that is known without reading the images.
        reader: Says what the images are.
        negative_headings: As in `heading_in_range`; None until all partitions have been read once.
    """

    key: str
    images: Images
    strict: bool
    folder: Path
    earlier: tuple[Path, ...] = ()
    name_before: str | None = None
    reader: Reader = NAMES_READER
    negative_headings: bool | None = None


@dataclass(frozen=True)
class Made:
    """What came of a partition: its files' name, counts of rows, how often a path was listed again, was it there."""

    name: str
    counts: Counts
    repeats: int
    was_there: bool


def build_partition(partition: Partition) -> Made:
    """Write a partition's part of the manifest and the rejects, or link it from an earlier artifact.

    Raises:
        UserError: The images cannot be listed.
    """
    if partition.name_before is not None and _is_linked(partition, partition.name_before):
        return _linked(partition, partition.name_before)
    found = distinct_paths(partition.images)
    state = partition.reader.state(found.paths)
    wanted = (False, True) if partition.negative_headings is None else (partition.negative_headings,)
    names = [name_of(partition.key, _digest(found.paths, partition.strict, state, each)) for each in wanted]
    for name in names:
        if _is_linked(partition, name):
            return _linked(partition, name, found.repeats)
        (partition.folder / "rejects" / name).unlink(missing_ok=True)  # linked without a manifest, of a killed run
    images = partition.reader.read(decode_paths(found.paths), partition.strict, found.parts, wanted[0])
    counts = count(images)
    _write(images, counts, partition.folder, names[0])
    return Made(names[0], counts, found.repeats, was_there=False)


def read_otherwise(counts: Sequence[Counts]) -> tuple[bool, list[int]]:
    """Return whether a data set has negative headings other than -1, and which partitions give -1 the wrong meaning.

    Args:
        counts: What `count` returned for each partition of the data set.
    """
    negative = any(each[f"{HEADINGS}{NEGATIVE}"] for each in counts)
    wrong = f"{HEADINGS}{MINUS_1_UNKNOWN if negative else MINUS_1_TURNED}"
    return negative, [number for number, each in enumerate(counts) if each[wrong]]


def name_of(key: str, digest: str) -> str:
    """Return the name of a partition's files: it tells their content, for what is taken over goes by names."""
    return f"part-{key}-{digest}.parquet"


def key_of(name: str) -> str:
    """Return the key of the partition whose files have a name."""
    return name.removeprefix("part-").rpartition("-")[0]


def _is_linked(partition: Partition, name: str) -> bool:
    """Link the files from an earlier artifact; return whether one had them."""
    return any(_link(earlier, partition.folder, name) for earlier in partition.earlier)


def _linked(partition: Partition, name: str, repeats: int = 0) -> Made:
    counts: Counts = json.loads(read_notes(partition.folder / "manifest" / name)[COUNTS_NOTE])
    return Made(name, counts, repeats, was_there=True)


def _digest(paths: Texts, strict: bool, state: bytes, negative_headings: bool) -> str:
    """Return a digest of what a partition's rows depend on: sorted paths, and how and from what they are read."""
    content = xxhash.xxh3_128(f"{schemas.SCHEMA_VERSION} {VERSION} {strict} {negative_headings} ".encode())
    paths.feed(content)
    content.update(state)
    return content.hexdigest()[:16]


def _link(earlier: Path, folder: Path, name: str) -> bool:
    """Link both files of a partition from an earlier artifact; return whether that could be done.

    The manifest's file is written last, so it is there only if the rejects' is.
    """
    for table in ("rejects", "manifest"):
        (folder / table).mkdir(exist_ok=True)
        if not link(earlier / table / name, folder / table / name):
            return False
    return True


def _write(images: pl.DataFrame, counts: Counts, folder: Path, name: str) -> None:
    """Write both tables; one without rows is a file as well, so that each table is there."""
    usable = images.filter(pl.col("reject").is_null()).select(schemas.MANIFEST.names)
    rejected = images.filter(pl.col("reject").is_not_null()).select("path", pl.col("reject").struct.unnest())
    write_table(rejected, folder / "rejects" / name, schemas.REJECTS)
    write_table(usable, folder / "manifest" / name, schemas.MANIFEST, notes={COUNTS_NOTE: json.dumps(counts)})


def count(images: pl.DataFrame) -> Counts:
    """Return the counts of a partition's rows, and its first and last year."""
    usable = pl.col("reject").is_null()
    reason = pl.col("reject").struct.field("reason")
    is_odd_time = pl.col("is_odd_time") if "is_odd_time" in images.columns else pl.lit(False)  # names have no such time
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
