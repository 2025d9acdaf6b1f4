"""Loading one of 8 groups with 5.6 million members: time to the first batch, and memory of trainer and 8 workers.

The plain way is a pickled dict of lists of paths a group, all groups loaded, handed to the workers. Both read the same
small images by the same workers. What a group of a single batch takes in the same way is subtracted, which leaves what
the members take, without Python, torch, the start of the processes, and the batches that they have ready. Medians of
three turns; the plain way has one.

    python benchmarks/load_groups.py WORK
    python benchmarks/load_groups.py WORK --millions 1
"""

import argparse
import os
import pickle
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch
from measure import _proportional_bytes, _with_children, as_gigabytes, as_seconds, machine, note, table
from PIL import Image

from data_manifest import schemas
from data_manifest.tables import write_table
from training.data.augmentation import Augmentation
from training.data.dataset import GroupDataset
from training.data.groups import read_members
from training.data.loading import read_batches
from training.data.members import Members
from training.data.sampling import EpochPlan
from training.data.settings import AugmentationSettings
from training.data.skipped import SkippedLog
from training.settings import RuntimeSettings

GROUPS, PER_CLASS, WORKERS, BATCH = 8, 20, 8, 32
TURNS, SECONDS_TO_FILL = 3, 3  # until each worker has its batches ready, or memory would be a matter of chance
ROWS_A_FILE = 250_000


class PlainMembers(Members):
    """The current group's paths as lists of strings, beside those of all others."""

    def __init__(self, groups: list[dict[int, list[str]]]) -> None:
        self.groups = groups

    def __reduce__(self) -> tuple[type["PlainMembers"], tuple[list[dict[int, list[str]]]]]:  # type: ignore[override]
        return PlainMembers, (self.groups,)

    @property
    def num_classes(self) -> int:
        """Classes of the first group."""
        return len(self.groups[0])

    def num_images(self, class_index: int) -> int:
        """Return how many images a class has."""
        return len(self.groups[0][class_index])

    def path(self, class_index: int, image_number: int) -> str:
        """Return an image's path."""
        return self.groups[0][class_index][image_number]


def write(work: Path, groups: int, classes: int, per_class: int) -> None:
    """Write the members of groups, as tables and as pickles."""
    for group in range(groups):
        numbers = np.repeat(np.arange(classes, dtype=np.int32), per_class)
        frame = pl.DataFrame({"class_index": numbers}).with_columns(
            group_index=pl.lit(group, pl.Int32),
            path=pl.format(
                "37.7{}/@0545981.19@4184971.70@10@S@037.81098@-122.47762@rtCs5-P_9NGDzU{}@@174@@@@201409@@.jpg",
                pl.lit(group),
                pl.int_range(len(numbers)).cast(pl.String).str.zfill(8),
            ),
            year=pl.lit(2014, pl.Int16),
        )
        (work / "tables").mkdir(parents=True, exist_ok=True)
        for begin in range(0, len(frame), ROWS_A_FILE):
            file = work / "tables/members" / f"group-{group:06d}-{begin:09d}.parquet"
            write_table(frame[begin : begin + ROWS_A_FILE], file, schemas.MEMBERS)
        lists = frame.group_by("class_index", maintain_order=True).agg("path")
        with (work / f"{group}.pickle").open("wb") as file:
            pickle.dump(dict(zip(lists["class_index"], lists["path"].to_list(), strict=True)), file)


def load(work: Path, plain: bool) -> Members:
    """Return the first group's members, as the plain way or we load them."""
    if not plain:
        return read_members(work / "tables", 0, work)
    return PlainMembers([pickle.loads(file.read_bytes()) for file in sorted(work.glob("*.pickle"))])


def first_batch(work: Path, plain: bool) -> None:
    """Print the seconds until the first batch, and the bytes of all processes soon after."""
    began = time.perf_counter()
    members = load(work, plain)
    dataset = GroupDataset(
        work / "images",
        members,
        EpochPlan(members.num_classes, BATCH, 1000, 0, 0),
        Augmentation(AugmentationSettings()),
    )
    loading = time.perf_counter() - began
    for sample in range(BATCH * WORKERS * 3):  # the images that will be asked for; no time of the loader's
        number = dataset.plan.image_number(sample, members.num_images(dataset.plan.class_index(sample)))
        path = work / "images" / members.path(dataset.plan.class_index(sample), number)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 64), (90, 120, 30)).save(path)
    began = time.perf_counter()
    batches = read_batches(dataset, RuntimeSettings(num_workers=WORKERS), torch.device("cpu"), SkippedLog(work, 0.05))
    next(batches)
    seconds = loading + time.perf_counter() - began
    time.sleep(SECONDS_TO_FILL)
    print(seconds, sum(map(_proportional_bytes, _with_children(os.getpid()))), flush=True)


def prepare(work: Path, millions: float) -> tuple[Path, Path]:
    """Write the members of groups, and those of a group of a batch, unless they are there; return their folders."""
    many, few = work / f"{millions:g}-million", work / "a-batch"
    classes = round(millions * 1e6 / GROUPS / PER_CLASS)
    for folder, *sizes in ((many, GROUPS, classes, PER_CLASS), (few, 1, BATCH, 1)):
        if not (folder / f"{sizes[0] - 1}.pickle").exists():
            note(f"writing members: {folder.name}")
            write(folder, *sizes)
    return many, few


def taken(folder: Path, way: str, turns: int) -> tuple[float, float]:
    """Return the median seconds until the first batch, and the median bytes, each turn in a process of its own."""
    root = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    seen = []
    for _ in range(turns):
        words = [sys.executable, __file__, str(folder), "--way", way]
        output = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
        note(f"{folder.name}, {way}: {output.strip()}")
        seen.append([float(number) for number in output.split()])
    seconds, counts = zip(*seen, strict=True)
    return statistics.median(seconds), statistics.median(counts)


def main(work: Path, millions: float) -> None:
    """Measure both ways, and print the table."""
    many, few = prepare(work, millions)
    rows = []
    for name, way, turns in (("plain", "plain", 1), ("ours", "ours", TURNS)):
        few_s, few_b = taken(few, way, turns)
        more_s, more_b = taken(many, way, turns)
        shown = as_seconds(more_s), as_seconds(more_s - few_s), as_gigabytes(int(more_b))
        rows.append((name, *shown, as_gigabytes(int(more_b - few_b))))
    print(f"{machine()}\n")
    titles = (f"{millions:g} million members", "first batch after", "more than for a batch")
    print(table((*titles, "memory", "more than for a batch"), rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="a folder for the members, which keeps them for the next run")
    parser.add_argument("--millions", type=float, default=5.6, help="members of all groups, in millions [5.6]")
    parser.add_argument("--way", choices=("ours", "plain"), help=argparse.SUPPRESS)  # of the processes that this starts
    options = parser.parse_args()
    if options.way:
        first_batch(options.work, plain=options.way == "plain")
    else:
        main(options.work, options.millions)
