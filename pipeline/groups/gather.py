"""The files of members, one or more for each group: planned by the classes, gathered from the images put aside.

Files are written by bundles: so many that follow each other as have a few hundred thousand members together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data_manifest.schemas import MEMBERS
from data_manifest.tables import write_table
from pipeline.groups.spread import IMAGE, aside_of, read_slice

ROWS_PER_FILE = 250_000  # about; a larger group has several files
FILE = ("group_index", "piece")
NUMBERS = ("group_index", "class_index", "piece")
Numbers = npt.NDArray[np.int64]
CLASS_NUMBER = pl.col("group_index").cast(pl.Int64) * 2**32 + pl.col("class_index")  # in the order of group and class


def plan_files(classes: pl.DataFrame) -> pl.DataFrame:
    """Return the classes, in their order, with `piece`: which file of its group one is in."""
    images = pl.col("num_images").cast(pl.Int64)
    before_in_group = images.cum_sum().over("group_index") - images
    return classes.with_columns(piece=(before_in_group // ROWS_PER_FILE).cast(pl.Int32))


def in_bundles(planned: pl.DataFrame) -> pl.DataFrame:
    """Return planned classes with `bundle`: which files are gathered together, counted from 0 without a gap."""
    images = pl.col("num_images").cast(pl.Int64)
    by_rows = planned.with_columns(bundle=(images.cum_sum() - images) // ROWS_PER_FILE)
    of_file = by_rows.with_columns(pl.col("bundle").first().over(FILE))
    return of_file.with_columns(pl.col("bundle").rle_id().cast(pl.Int32))


def file_name(group: int, piece: int) -> str:
    """Return the name of a file of members."""
    return f"group-{group:06d}-{piece:04d}.parquet"


@dataclass(frozen=True)
class Bundle:
    """Files of members to be written.

    Args:
        folder: Where.
        runs: Images put aside that go into them: `NUMBERS`, and `start` and `num_images` within a `partition`.
        scratch: The folder of the files that partitions were put aside in.
        kept: Files of members of earlier groups, each with the classes that are taken from it: `NUMBERS`, and
            `class_before`, the number that the class has there.
    """

    folder: Path
    runs: pl.DataFrame
    scratch: Path
    kept: Sequence[tuple[Path, pl.DataFrame]] = ()


def write_bundle(bundle: Bundle) -> None:
    """Write the files of a bundle."""
    runs = bundle.runs.sort("partition", "start").partition_by("partition", as_dict=True)
    gathered = [_gather(aside_of(bundle.scratch, partition), each) for (partition,), each in runs.items()]
    members = in_order(pl.concat([*(_read_kept(*each) for each in bundle.kept), *gathered], rechunk=True))
    begin = 0
    for run in members.select(pl.struct(FILE).rle()).to_series():
        part = members.slice(begin, run["len"]).drop("piece")
        write_table(part, bundle.folder / file_name(*run["value"].values()), MEMBERS)
        begin += run["len"]


def _gather(aside: Path, runs: pl.DataFrame) -> pl.DataFrame:
    """Return the members that runs of the images in a file make; the runs are in the order of the file."""
    starts, counts = runs["start"].to_numpy(), runs["num_images"].to_numpy()
    begin, end = int(starts[0]), int(starts[-1] + counts[-1])
    images = read_slice(aside, begin, end - begin)
    if len(images) > counts.sum():  # classes between that are not wanted
        images = images[_rows(starts - begin, counts)]
    return images.with_columns(pl.Series(name, np.repeat(runs[name].to_numpy(), counts)) for name in NUMBERS)


def _read_kept(file: Path, numbers: pl.DataFrame) -> pl.DataFrame:
    """Return the members of an earlier file whose classes are wanted, with the numbers that these have now."""
    members = pl.scan_parquet(file, glob=False).select(*IMAGE, class_before="class_index")
    return members.join(numbers.lazy(), on="class_before", maintain_order="left").drop("class_before").collect()


def in_order(members: pl.DataFrame) -> pl.DataFrame:
    """Return members in the order of group, class and path.

    Partitions are sorted by path, and most classes are in one. So they are sorted by class, which is quick, and by path
    only those whose paths are not in order then.
    """
    members = _by_class(members)
    follows = CLASS_NUMBER.diff() == 0
    wrong = members.select(pl.when(follows & (pl.col("path") < pl.col("path").shift())).then(CLASS_NUMBER))
    classes = wrong.to_series().drop_nulls().unique()
    if classes.is_empty():
        return members
    is_wrong = np.flatnonzero(members.select(CLASS_NUMBER.is_in(classes.implode())).to_series())
    sorted_by_path = members[is_wrong].select(pl.arg_sort_by(CLASS_NUMBER, "path")).to_series()
    rows = np.arange(len(members))
    rows[is_wrong] = is_wrong[sorted_by_path]
    return members.select(pl.all().gather(pl.Series(rows)))


def _by_class(members: pl.DataFrame) -> pl.DataFrame:
    """Return members by group and class, those of a class in the order they had: runs are sorted, not rows."""
    runs = members.select(CLASS_NUMBER.rle().struct.unnest()).with_columns(pl.col("len").cast(pl.Int64))
    runs = runs.with_columns(start=pl.col("len").cum_sum() - pl.col("len")).sort("value", maintain_order=True)
    rows = _rows(runs["start"].to_numpy(), runs["len"].to_numpy())
    return members.select(pl.all().gather(pl.Series(rows)))


def _rows(starts: Numbers, counts: Numbers) -> Numbers:
    """Return the numbers of the rows of runs, one run after the other."""
    before = counts.cumsum() - counts
    rows: Numbers = np.arange(counts.sum()) + np.repeat(starts - before, counts)
    return rows
