"""The order in which a training reads: one epoch by arrays and one by one, and `cosplace reads` at SF-XL's size.

The earlier way drew each image by a numpy.random.SeedSequence of its own. The data set is made up: 8 groups of 35,000
classes of 20 images, with names as long and as varied as those of SF-XL.

    python benchmarks/read_order.py WORK
    python benchmarks/read_order.py WORK --epochs 5
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from measure import Command, as_gigabytes, machine, measure, note, peak_memory, table

from data_manifest import schemas
from data_manifest.tables import group_file, write_table
from training.data.sampling import EpochPlan, Stream

GROUPS, CLASSES, PER_CLASS, BATCH, ITERATIONS = 8, 35_000, 20, 32, 10_000
CALLS, TURNS = 20_000, 5
LETTERS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", "S1")


def earlier_image_number(plan: EpochPlan, sample: int, num_images: int) -> int:
    """Return the image that a sample showed before version 2 of the training recipe."""
    words = np.random.SeedSequence([Stream.IMAGE, plan.seed, plan.epoch, sample]).generate_state(1, np.uint64)
    return int(words[0] >> 1) % num_images


def by_arrays(plan: EpochPlan) -> int:
    """Return a sum over the images of an epoch, so that they are all computed."""
    samples = np.arange(plan.num_samples)
    numbers = plan.image_numbers(samples, np.full(len(samples), PER_CLASS))
    return int((plan.class_indices(samples) * PER_CLASS + numbers).sum())


def one_by_one(plan: EpochPlan, image_number: Callable[[int, int], int], samples: int) -> int:
    """Return the same sum over the first samples, with a call for each."""
    return sum(plan.class_index(each) * PER_CLASS + image_number(each, PER_CLASS) for each in range(samples))


def best(function: Callable[[], object]) -> float:
    """Return the seconds of the fastest of some turns."""
    seconds = []
    for _ in range(TURNS):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def measure_epoch() -> str:
    """Return the times of an epoch of 320,000 samples as a table."""
    plan = EpochPlan(CLASSES, BATCH, ITERATIONS, seed=0, epoch=0)
    single = {
        "earlier, one by one": best(
            lambda: one_by_one(plan, lambda sample, count: earlier_image_number(plan, sample, count), CALLS)
        ),
        "now, one by one": best(lambda: one_by_one(plan, plan.image_number, CALLS)),
    }
    rows = [(name, seconds / CALLS, seconds / CALLS * plan.num_samples) for name, seconds in single.items()]
    seconds = best(lambda: by_arrays(plan))
    rows.append(("now, as arrays", seconds / plan.num_samples, seconds))
    assert by_arrays(plan) == one_by_one(plan, plan.image_number, plan.num_samples)
    shown = [(name, f"{per_sample * 1e6:.2f} µs", f"{epoch:.2f} s") for name, per_sample, epoch in rows]
    return table(("class and image of a sample", "per sample", "epoch of 320,000"), shown)


def write_groups(folder: Path) -> None:
    """Write the tables of made-up groups."""
    generator = np.random.default_rng(0)
    numbers = np.repeat(np.arange(CLASSES, dtype=np.int32), PER_CLASS)
    for group in range(GROUPS):
        note(f"writing group {group}")
        members = pl.DataFrame({"class_index": numbers}).with_columns(
            group_index=pl.lit(group, pl.Int32),
            path=_names(generator, len(numbers)),
            year=pl.lit(2014, pl.Int16),
        )
        classes = pl.DataFrame({"class_index": np.arange(CLASSES, dtype=np.int32)}).with_columns(
            group_index=pl.lit(group, pl.Int32),
            utm_zone=pl.lit(10, pl.Int8),
            hemisphere=pl.lit("N"),
            cell_east=pl.lit(0, pl.Int64),
            cell_north=pl.lit(0, pl.Int64),
            heading_bin=pl.lit(0, pl.Int32),
            num_images=pl.lit(PER_CLASS, pl.Int32),
        )
        write_table(members, folder / "members" / group_file(group), schemas.MEMBERS)
        write_table(classes, folder / "classes" / group_file(group), schemas.CLASSES)
    recipe = {"stage": "groups", "name": "made-up", "digest": "0", "settings": {}, "summary": {}}
    (folder / "recipe.json").write_text(json.dumps(recipe))


def _names(generator: np.random.Generator, count: int) -> pl.Series:
    """Return names in SF-XL's form, about 100 characters each."""
    draw = generator.integers
    panoramas = LETTERS[draw(0, len(LETTERS), (count, 22))].view("S22").ravel().astype(str)
    frame = pl.DataFrame(
        {
            "east": draw(54_500_000, 55_500_000, count),
            "north": draw(417_600_000, 418_500_000, count),
            "latitude": draw(70_000, 82_000, count),
            "longitude": draw(36_000, 52_000, count),
            "panorama": panoramas,
            "heading": draw(0, 360, count),
            "month": draw(200_701, 202_112, count),
        }
    )
    form = "37.{}/@0{}.00@{}.00@10@S@037.{}@-122.{}@{}@@{}@@@@{}@@.jpg"
    columns = (pl.col("latitude") // 1000, pl.col("east") // 100, pl.col("north") // 100, "latitude", "longitude")
    return frame.select(pl.format(form, *columns, "panorama", "heading", "month").alias("path"))["path"]


def measure_command(work: Path, epochs: int) -> str:
    """Return time, memory and size of `cosplace reads` as a table."""
    groups = work / "groups"
    if not (groups / "recipe.json").exists():
        groups.mkdir(parents=True, exist_ok=True)
        write_groups(groups)
    rows = []
    for count, name in ((1, "reads.parquet"), (epochs, "reads.parquet"), (epochs, "files.txt")):
        words = ["-m", "cosplace", "reads", str(groups), "--epochs", f"0:{count}", "--output", str(work / name)]
        note(f"{count} epochs, {name}")
        command = Command([sys.executable, *words])
        measured, memory = measure(command), peak_memory(command)
        size = (work / name).stat().st_size
        rows.append((f"{count}", name, str(measured), as_gigabytes(memory), as_gigabytes(size)))
        print(measured.output, file=sys.stderr)
    return table(("epochs", "output", "time", "memory", "size"), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="a folder for groups and results, which keeps the groups")
    parser.add_argument("--epochs", type=int, default=50, help="epochs to write [50]")
    options = parser.parse_args()
    print(f"{machine()}\n\n{measure_epoch()}\n\n{measure_command(options.work, options.epochs)}")
