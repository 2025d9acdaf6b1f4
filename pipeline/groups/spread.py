"""One partition of a manifest, its images counted by class and put aside in the order of group and class.

Members come in the order of folders, not of groups, and 41 million of them with their paths are 5 GB. So each
partition's images are sorted and put aside in one file, in which the images of a class stand together: the counts tell
where. A range of groups is then a slice of each file, and nothing is read that is not wanted.

The file holds the number of images, where the path of each begins, with the end of the last, the years, and the paths
one after the other. That is less than a file of Arrow's: of 41 million images a slice has a thousand, and there are
27,000 of them to open.
"""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from data_manifest.schemas import CLASS_COUNTS
from data_manifest.tables import write_table
from pipeline.groups.cells import CLASS_KEY, class_key, group_index
from pipeline.groups.settings import GroupSettings
from pipeline.metadata.years import taken_in
from pipeline.texts import Texts

IMAGE = ("path", "year")  # what a member is made of, beside the numbers of its class
WRITTEN_AT_ONCE = 16_384  # paths: all of a partition would need their memory a second time
NO_YEAR = np.iinfo(np.int16).min


def aside_of(scratch: Path, partition: int) -> Path:
    """Return the file in which a partition is put aside, by its number in the order of the manifest's files."""
    return scratch / f"{partition}.images"


@dataclass(frozen=True)
class Putting:
    """A partition of the manifest, to be put aside.

    Args:
        manifest_file: Its Parquet file.
        settings: The grouping.
        aside: The file to write its images to.
        counts: The table of its class counts to write; None if it is there.
    """

    manifest_file: Path
    settings: GroupSettings
    aside: Path
    counts: Path | None


def put_aside(job: Putting) -> None:
    """Write a partition's images to a file, and how many each class has to a table of the same order.

    Images without a heading are counted, as the last ones, and not put aside. Two machines may do this at once, if one
    was thought dead.
    """
    images = read_images(job.manifest_file, job.settings)
    classes = _by_class(images, job.settings)
    in_order = classes.filter(pl.col("heading_bin").is_not_null())["row"].explode(empty_as_null=False)
    _write(images, in_order.cast(pl.Int64).to_numpy(), job.aside)
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


def _write(images: pl.DataFrame, rows: npt.NDArray[np.int64], path: Path) -> None:
    """Write the paths and years of some rows."""
    paths = Texts.of_column(images["path"])
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with unfinished.open("wb") as file:
        # Not by `tofile`, whose errors do not say that a disk is full.
        file.write(np.array([len(rows), 0], np.int64).data)
        file.write((paths.ends - paths.starts)[rows].cumsum().data)
        file.write(images["year"].fill_null(NO_YEAR).to_numpy()[rows].data)
        for begin in range(0, len(rows), WRITTEN_AT_ONCE):
            file.write(paths.take(rows[begin : begin + WRITTEN_AT_ONCE]).content.data)
    unfinished.replace(path)


def read_slice(aside: Path, start: int, length: int) -> pl.DataFrame:
    """Return some of the images that were put aside in a file; no others are read."""
    with aside.open("rb", buffering=0) as file:

        def read(kind: npt.DTypeLike, count: int, begin: int) -> npt.NDArray[Any]:
            values = np.empty(count, kind)
            if os.preadv(file.fileno(), [values.data], begin) != values.nbytes:
                raise OSError(f"{aside} is not whole")
            return values

        rows = int(read(np.int64, 1, 0)[0])
        offsets = read(np.int64, length + 1, 8 * (1 + start))
        years_begin = 8 * (1 + rows + 1)
        years = read(np.int16, length, years_begin + 2 * start)
        content = read(np.uint8, offsets[-1] - offsets[0], years_begin + 2 * rows + int(offsets[0]))
    buffers = [None, pa.py_buffer(offsets - offsets[0]), pa.py_buffer(content)]
    paths = pa.Array.from_buffers(pa.large_string(), length, buffers)
    known = pl.when(pl.col("year") != NO_YEAR).then("year")
    return pl.DataFrame({"path": paths, "year": years}).with_columns(known.alias("year"))
