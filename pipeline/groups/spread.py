"""Read the partitions of a manifest: count the classes of each, and spread its images over the files of members."""

import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.ipc

from data_manifest.schemas import CLASS_COUNTS
from data_manifest.tables import write_table
from pipeline.groups.classes import CLASS_KEY, class_key, count_classes
from pipeline.groups.settings import GroupSettings
from pipeline.metadata.years import taken_in

MEMBER = ("path", "year")  # the columns of a member apart from its class
HASH_SEED = 14
COUNTS = "class_counts"
HASHED_BY = {"polars": pl.__version__}  # other versions may hash otherwise


@dataclass(frozen=True)
class CountJob:
    """Count the classes of one partition of the manifest and write them to `counts_file`."""

    manifest_file: Path
    settings: GroupSettings
    counts_file: Path


def count_partition(job: CountJob) -> None:
    """Write the class counts of a partition, sorted by class, with a hash of the images of each class."""
    images = pl.scan_parquet(job.manifest_file, glob=False)
    counts = count_classes(images, job.settings, member_hash())
    write_table(counts.sort(CLASS_KEY), job.counts_file, CLASS_COUNTS, HASHED_BY)


def read_counts(files: list[Path]) -> pl.DataFrame:
    """Return the class counts of partitions, with `partition`: the rank of its file."""
    counts = (pl.read_parquet(file, glob=False) for file in files)
    return pl.concat(each.with_columns(partition=pl.lit(number, pl.Int32)) for number, each in enumerate(counts))


def member_hash() -> pl.Expr:
    """Return a 64-bit hash of the path and year of manifest rows; it may change with the version of polars."""
    return pl.struct(MEMBER).hash(HASH_SEED).alias("members_hash")


@dataclass(frozen=True)
class SpreadJob:
    """Spread the images of one partition of the manifest over batches.

    Args:
        manifest_file: The partition.
        settings: The grouping.
        classes: `CLASS_KEY` as in the partition's counts, the `number` of the class, and the `batch` it belongs to,
            which must not decrease with the number.
        num_batches: Number of batches to write.
        spread_file: The Arrow IPC file to write.
    """

    manifest_file: Path
    settings: GroupSettings
    classes: pl.DataFrame
    num_batches: int
    spread_file: Path


def spread_partition(job: SpreadJob) -> None:
    """Write the images of some classes of a partition to an Arrow IPC file with one record batch per `batch`."""
    taken = pl.scan_parquet(job.manifest_file, glob=False).filter(taken_in(job.settings.years))
    images = taken.select(*MEMBER, *class_key(job.settings)).collect()
    found = images.join(job.classes, on=CLASS_KEY, nulls_equal=True, maintain_order="left")
    found = found.sort("number", maintain_order=True)
    sizes = np.bincount(found["batch"].to_numpy(), minlength=job.num_batches)
    (rows,) = found.select("number", *MEMBER).rechunk().to_arrow().to_batches()
    unfinished = job.spread_file.with_name(f".{job.spread_file.name}.{uuid.uuid4().hex}")
    with pa.OSFile(str(unfinished), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        for end, size in zip(sizes.cumsum().tolist(), sizes.tolist(), strict=True):
            writer.write_batch(rows.slice(end - size, size))
    unfinished.replace(job.spread_file)


def read_batch(spread_file: Path, batch: int) -> pl.DataFrame:
    """Return `number`, `path` and `year` of one batch of an Arrow IPC file that `spread_partition` wrote."""
    with pa.OSFile(str(spread_file), "rb") as file:
        return pl.DataFrame(pa.ipc.open_file(file).get_batch(batch))
