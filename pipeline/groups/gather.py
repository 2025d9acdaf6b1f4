"""Plan the files of members and gather each from the batches that the partitions were spread into."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_manifest.schemas import MEMBERS as MEMBERS_SCHEMA
from data_manifest.schemas import SCHEMA_VERSION
from data_manifest.store.recipe import DIGEST_LENGTH
from data_manifest.tables import write_table
from pipeline.groups.spread import MEMBER, read_spread, spread_file

VERSION = 6  # raise it when the same manifest and settings come to give other groups or other bytes
MEMBERS = "members"
ROWS_PER_FILE = 250_000  # about; a larger group has several files


def plan_files(classes: pl.DataFrame) -> pl.DataFrame:
    """Return the classes from `number_classes` with `number`, their rank over all groups, and `file` of their members.

    A file's name ends with a digest of its content, so files of equal names are equal.
    """
    images = pl.col("num_images").cast(pl.Int64)
    images_before = (images.cum_sum() - images).over("group_index")
    planned = classes.with_columns(piece=images_before // ROWS_PER_FILE)
    files = planned.partition_by("group_index", "piece", maintain_order=True)
    names = pl.Series("file", [_file_name(each) for each in files], pl.String)
    rank = planned.select(pl.struct("group_index", "piece").rle_id()).to_series()
    return planned.drop("piece").with_columns(names.gather(rank)).with_row_index("number")


def _file_name(classes: pl.DataFrame) -> str:
    content = hashlib.sha256(f"{VERSION} {SCHEMA_VERSION} {pl.__version__}".encode())
    for column in ("class_index", "num_images", "members_hash"):
        content.update(classes[column].to_numpy().tobytes())
    group, piece = classes.select("group_index", "piece").row(0)
    return f"group-{group:06d}-{piece:04d}-{content.hexdigest()[:DIGEST_LENGTH]}.parquet"


def in_bundles(planned: pl.DataFrame) -> pl.DataFrame:
    """Return planned classes with `bundle`: whole files of about `ROWS_PER_FILE` rows that are written together."""
    images = pl.col("num_images").cast(pl.Int64)
    by_rows = planned.with_columns(bundle=(images.cum_sum() - images) // ROWS_PER_FILE)
    of_file = by_rows.with_columns(pl.col("bundle").first().over("file"))
    return of_file.with_columns(pl.col("bundle").rle_id().cast(pl.Int32))


@dataclass(frozen=True)
class GatherJob:
    """Write the files of members of one bundle."""

    folder: Path  # where the files go
    classes: pl.DataFrame  # the planned classes of the bundle
    places: pl.DataFrame  # where their images are: `number`, and the columns of `places_in_spread_files`
    scratch: Path  # the folder of the spread files
    earlier: Path | None  # the groups that have the members of classes with a `file_before`


def write_members(job: GatherJob) -> None:
    """Write the files of members of a bundle, sorted by class and path."""
    places = job.places.partition_by("partition", as_dict=True)
    parts = [read_spread(spread_file(job.scratch, partition), each) for (partition,), each in places.items()]
    if job.earlier is not None:
        reused = job.classes.drop_nulls("file_before").partition_by("file_before", as_dict=True)
        parts += [_read_earlier(job.earlier / MEMBERS / name, each) for (name,), each in reused.items()]
    numbers = job.classes.select("number", "group_index", "class_index")
    members = in_order(pl.concat(parts)).join(numbers, on="number", maintain_order="left").drop("number")
    sizes = job.classes.group_by("file", maintain_order=True).agg(pl.col("num_images").cast(pl.Int64).sum())
    assert len(members) == sizes["num_images"].sum(), "the counts do not fit the members"
    for (name, size), end in zip(sizes.iter_rows(), sizes["num_images"].cum_sum(), strict=True):
        write_table(members.slice(end - size, size), job.folder / name, MEMBERS_SCHEMA)


def _read_earlier(file: Path, classes: pl.DataFrame) -> pl.DataFrame:
    """Return `number`, `path` and `year` of the members of some classes of a file of earlier groups."""
    members = pl.scan_parquet(file, glob=False).select("class_index", *MEMBER)
    numbers = classes.lazy().select("number", class_index="class_before")
    return members.join(numbers, on="class_index", maintain_order="left").select("number", *MEMBER).collect()


def in_order(members: pl.DataFrame) -> pl.DataFrame:
    """Return members sorted by `number` and path.

    Sorting paths is slow, and most classes come from one partition in the order of their paths. So only classes that
    are not in this order after sorting by number are sorted by path.
    """
    members = members.sort("number", maintain_order=True)
    number, path = pl.col("number"), pl.col("path")
    descends = (number == number.shift()) & (path < path.shift())
    unsorted = members.select(number.is_in(number.filter(descends).unique().implode())).to_series()
    if not unsorted.any():
        return members
    in_path_order = pl.concat([members.filter(~unsorted), members.filter(unsorted).sort("path")])
    return in_path_order.sort("number", maintain_order=True)
