"""Cost of loading images from this machine's disk, in this checkout of the project and in another, in pairs.

Both train on the same images, with a network that takes no time: without workers, in processor time per image, which
depends little on other processes; and with 4 workers, in wall time.

    python benchmarks/loader_pairs.py WORK OTHER
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from measure import Command, machine, measure, note, table
from pairs import ratio
from simulated.images import ROOT, write_images
from simulated.training import AUGMENTATION, NETWORK
from torch import Tensor

from training.loop.trainer import train
from training.settings import RuntimeSettings, TrainingSettings

PAIRS, PLACES, BATCH, ITERATIONS, WORKERS = 12, 120, 32, 40, 4
KINDS = {0: "no workers, processor time", WORKERS: f"{WORKERS} workers, wall time"}


class Step:
    """Stands in for a training step; keeps the processor and wall time at each."""

    times: list[tuple[float, float]]

    def __init__(self, *_: object) -> None:
        Step.times = []

    def __call__(self, images: Tensor, class_indices: Tensor) -> Tensor:
        """Take a batch; return the loss."""
        Step.times.append((time.process_time(), time.perf_counter()))
        return torch.zeros(())


def load(groups: Path, images_folder: Path) -> None:
    """Train an epoch without workers, and one with; print the seconds per image of both, from the first batch on."""
    training = TrainingSettings(groups_num=1, batch_size=BATCH, epochs_num=1, iterations_per_epoch=ITERATIONS)
    options: dict[str, Any] = {"network": NETWORK, "augmentation": AUGMENTATION, "validate": lambda _: {1: 0.0}}
    found = {}
    for clock, workers in enumerate(KINDS):
        runtime = RuntimeSettings(device="cpu", num_workers=workers)
        with tempfile.TemporaryDirectory() as folder, patch("training.loop.epoch.TrainStep", Step):
            train(groups, images_folder, Path(folder), training=training, runtime=runtime, **options)
        found[workers] = (Step.times[-1][clock] - Step.times[0][clock]) / (BATCH * (ITERATIONS - 1))
    print(json.dumps(found))


def measure_pairs(work: Path, other: Path) -> str:
    """Return the table."""
    images = write_images(work, "by-class", PLACES, by_class=True)
    words = [sys.executable, __file__, str(work), "--load", str(images.groups), str(work / "local" / images.name)]
    pairs = list[dict[Path, dict[str, float]]]()
    for number in range(PAIRS):
        pairs.append({})
        for checkout in (other, ROOT) if number % 2 else (ROOT, other):
            command = Command(words, {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}, checkout)
            pairs[-1][checkout] = json.loads(measure(command).output.splitlines()[-1])
        note(f"pair {number + 1} of {PAIRS}: {pairs[-1]}")
    rows = [_row(pairs, other, workers) for workers in KINDS]
    return table(("from this machine's disk", "other", "this", "time, this / other: median (10 to 90 %)"), rows)


def _row(pairs: list[dict[Path, dict[str, float]]], other: Path, workers: int) -> tuple[str, ...]:
    seconds = [(pair[other][str(workers)], pair[ROOT][str(workers)]) for pair in pairs]
    shown = (f"{1e3 * statistics.median(each):.2f} ms per image" for each in zip(*seconds, strict=True))
    return KINDS[workers], *shown, ratio(seconds, 3)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="scratch folder, which keeps the images")
    parser.add_argument("other", type=Path, nargs="?", help="the other checkout")
    parser.add_argument("--load", type=Path, nargs=2, help=argparse.SUPPRESS)  # groups and images, in a process
    options = parser.parse_args()
    if options.load:
        load(*options.load)
    else:
        print(machine(), "", measure_pairs(options.work.resolve(), options.other.resolve()), sep="\n")


if __name__ == "__main__":
    main()
