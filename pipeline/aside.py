"""One partition of a manifest, its images counted by class and put aside in the order of group and class.

Members come in the order of folders, not of groups, and 41 million of them with their paths are 5 GB. So each
partition's images are sorted and put aside in one Arrow file, in which the images of a class stand together: the counts
tell where. A range of groups is then a slice of each file, and nothing is read that is not wanted.
"""

import uuid
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from data_manifest.schemas import CLASS_COUNTS
from data_manifest.tables import write_table
from pipeline.cells import CLASS_KEY, class_key, group_index
from pipeline.settings import GroupSettings
from pipeline.years import taken_in

IMAGE = ("path", "year")  # what a member is made of, beside the numbers of its class


def aside_of(scratch: Path, partition: int) -> Path:
    """Return the file in which a partition is put aside, by its number in the order of the manifest's files."""
    return scratch / f"{partition}.arrow"


@dataclass(frozen=True)
class Putting:
    """A partition of the manifest, to be put aside.

    Args:
        manifest_file: Its Parquet file.
        settings: The grouping.
        aside: The Arrow file to write.
        counts: The table of its class counts to write; None if it is there.
    """

    manifest_file: Path
    settings: GroupSettings
    aside: Path
    counts: Path | None


def put_aside(job: Putting) -> None:
    """Write a partition's images to an Arrow file, and how many each class has to a table of the same order.

    Images without a heading are counted, as the last ones, and not put aside. Two machines may do this at once, if one
    was thought dead.
    """
    images = read_images(job.manifest_file, job.settings)
    classes = _by_class(images, job.settings)
    in_order = classes.filter(pl.col("heading_bin").is_not_null())["row"].explode(empty_as_null=False)
    _write_arrow(images.select(IMAGE)[in_order], job.aside)
    if job.counts is not None:
        write_table(classes.select(CLASS_COUNTS.names), job.counts, CLASS_COUNTS)


def read_images(manifest_file: Path, settings: GroupSettings) -> pl.DataFrame:
    """Return the path, the year and the class of the images of a partition that are of the years asked for."""
    taken = pl.scan_parquet(manifest_file, glob=False).filter(taken_in(settings.years))
    return taken.select(*IMAGE, *class_key(settings)).collect()


def _by_class(images: pl.DataFrame, settings: GroupSettings) -> pl.DataFrame:
    """Return the classes of images in order, with the numbers of their rows; those without a heading last."""
    classes = images.select(CLASS_KEY).with_row_index("row").group_by(CLASS_KEY).agg("row")
    return classes.with_columns(group_index(settings), num_images=pl.col("row").list.len().cast(pl.Int32)).sort(
        "group_index", *CLASS_KEY, nulls_last=[True] + [False] * len(CLASS_KEY)
    )


def _write_arrow(images: pl.DataFrame, path: Path) -> None:
    table = images.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with pa.OSFile(str(unfinished), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        for batch in table.combine_chunks().to_batches():
            writer.write_batch(batch)
    unfinished.replace(path)


def read_slice(aside: Path, start: int, length: int) -> pl.DataFrame:
    """Return some of the images that were put aside in a file; no others are read."""
    with pa.memory_map(str(aside)) as file, pa.ipc.open_file(file) as reader:
        frame = pl.from_arrow(reader.get_batch(0).slice(start, length))
    assert isinstance(frame, pl.DataFrame)
    return frame
