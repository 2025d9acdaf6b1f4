"""Spread the images of each partition of a manifest by class, and count them."""

import uuid
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.ipc

from data_manifest.schemas import CLASS_COUNTS
from data_manifest.tables import write_table
from pipeline.groups.classes import CLASS_KEY, class_key, group_index
from pipeline.groups.settings import GroupSettings
from pipeline.metadata.years import has_year_in

MEMBER = ("path", "year")  # the columns of a member apart from its class
HASH_SEED = 14
ROWS_PER_BATCH = 16_384  # the kernel takes several times as long to write larger buffers
COUNTS = "class_counts"
HASHED_BY = {"polars": pl.__version__}  # other versions may hash otherwise


@dataclass(frozen=True)
class SpreadJob:
    """Spread one partition."""

    manifest_file: Path
    settings: GroupSettings
    target: Path  # Arrow IPC: `class`, the row of the class in the class counts, `path` and `year`
    counts_file: Path | None  # the table of class counts to write, if it is not there already


def spread_partition(job: SpreadJob) -> None:
    """Write the images of a partition sorted by class, and the class counts in the same order.

    Classes are sorted by group and key. Images without a heading come last in the counts and are not written.
    """
    taken = pl.scan_parquet(job.manifest_file, glob=False).filter(has_year_in(job.settings.years))
    images = taken.select(*MEMBER, *class_key(job.settings), member_hash()).collect()
    classes = images.group_by(CLASS_KEY).agg(
        pl.len().cast(pl.Int32).alias("num_images"), pl.col("members_hash").sum(), *MEMBER
    )
    in_order = classes.sort(group_index(job.settings), *CLASS_KEY, nulls_last=[True] + [False] * len(CLASS_KEY))
    members = in_order.with_row_index("class").filter(pl.col("heading_bin").is_not_null())
    _write(members.select("class", *MEMBER).explode(MEMBER, empty_as_null=False), job.target)
    if job.counts_file is not None:
        write_table(in_order.select(CLASS_COUNTS.names), job.counts_file, CLASS_COUNTS, HASHED_BY)


def member_hash() -> pl.Expr:
    """Return a 64-bit hash of the path and year of manifest rows; it may change with the version of polars."""
    path, year = (pl.col(column).hash(HASH_SEED) for column in MEMBER)
    return (path ^ year).alias("members_hash")


def _write(images: pl.DataFrame, target: Path) -> None:
    """Write rows to a file that appears complete, in record batches of `ROWS_PER_BATCH`."""
    unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    schema = images.clear().to_arrow().schema
    with pa.OSFile(str(unfinished), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for rows in images.iter_slices(ROWS_PER_BATCH):
            writer.write_table(rows.to_arrow(), ROWS_PER_BATCH)
    unfinished.replace(target)


def spread_file(scratch: Path, partition: int) -> Path:
    """Return the file that a partition, given by its rank, is spread to."""
    return scratch / f"{partition}.arrow"


def read_spread(file: Path, classes: pl.DataFrame) -> pl.DataFrame:
    """Return `number`, `path` and `year` of some classes of a partition; the rest of the file is not read.

    The classes have `number`, and `class`, `begin` and `end` from `places_in_spread_files`.
    """
    begin, end = classes.select(pl.col("begin").min(), pl.col("end").max()).row(0)
    with pa.memory_map(str(file)) as mapped:
        reader = pa.ipc.open_file(mapped)
        batches = [reader.get_batch(number) for number in range(begin // ROWS_PER_BATCH, -(-end // ROWS_PER_BATCH))]
    rows = pa.Table.from_batches(batches).slice(begin % ROWS_PER_BATCH, end - begin)
    numbers = classes.select("class", "number")
    return pl.DataFrame(rows).join(numbers, on="class", maintain_order="left").select("number", *MEMBER)


def read_counts(counts_files: list[Path]) -> pl.DataFrame:
    """Return the class counts of partitions, with `partition`, the rank of the file, and `class`, the row in it."""
    counts = (pl.read_parquet(file, glob=False).with_row_index("class") for file in counts_files)
    return pl.concat(each.with_columns(partition=pl.lit(number, pl.Int32)) for number, each in enumerate(counts))


def places_in_spread_files(counts: pl.DataFrame) -> pl.DataFrame:
    """Return `partition`, `class`, and the rows `begin` to `end` of each class in the spread file, from all counts."""
    images = pl.col("num_images").cast(pl.UInt32)
    end = images.cum_sum().over("partition")
    return counts.select("partition", "class", begin=end - images, end=end)
