"""Measure the size and time of a report of 200 and of 1,000 queries, compared with a page of the original pictures.

    python benchmarks/report.py WORK [--millions 1]

Makes a data set in WORK, unless it exists: a list of realistic SF-XL names to train on, without images, and a test set
of 2,000 database images and 1,000 queries of 512 x 512 pixels with the spectrum of photos. Evaluates an untrained
network on it at 64 pixels, then measures WriteReport. The plain page has the JPEG file of each picture in base 64.
"""

import argparse
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import polars as pl
from measure import Command, as_gigabytes, machine, measure, note, peak_memory, table
from PIL import Image
from sfxl_names import names, write_list

ROOT = Path(__file__).resolve().parent.parent
SIDE, DISTINCT, DATABASE, QUERIES = 512, 200, 2000, 1000
SHOWN = (200, 1000)
EVALUATED = (
    *("--backbone", "SqueezeNet1_1", "--backbone-weights", "none", "--fc-output-dim", "16", "--epochs-num", "0"),
    *("--resize-test-imgs", "--image-size", "64", "--num-workers", "0", "--device", "cpu"),
)
TITLES = (
    *("queries shown", "pictures", "page", "share of the plain page", "plain page"),
    *("WriteReport", "memory", "thumbnails are at most"),
)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--millions", type=float, default=1, help="names to train on (default: %(default)s)")
    options = parser.parse_args()
    city, artifacts = options.work / "city", options.work / "artifacts"
    if not city.is_dir():
        note("making the data set")
        make_city(city, round(options.millions * 1e6))
    evaluate = command("EvaluateCosPlace", city, artifacts)
    note("evaluating")
    measure(evaluate)
    rows = [row(city, artifacts, shown) for shown in SHOWN]
    print(f"{machine()} {options.millions:g} million names to train on.\n\n{table(TITLES, rows)}")


def make_city(city: Path, train: int) -> None:
    """Make the data set; its folder appears when it is complete."""
    unfinished = city.with_name(f"{city.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    write_list(unfinished / "train_images_paths.txt", train)
    (unfinished / "pictures").mkdir()
    pictures = [write_picture(unfinished / "pictures" / f"{number}.jpg", number) for number in range(DISTINCT)]
    for part, count, seed in (
        *(("test/database", DATABASE, 1), ("test/queries_v1", QUERIES, 2)),
        *(("val/database", 10, 3), ("val/queries", 10, 4)),
    ):
        for number, path in enumerate(pl.concat(list(names(count, seed)))):
            (unfinished / part / path).parent.mkdir(parents=True, exist_ok=True)
            os.link(pictures[(number * seed) % DISTINCT], unfinished / part / path)
    unfinished.rename(city)


def write_picture(path: Path, seed: int) -> Path:
    """Write a picture whose amplitudes fall with the frequency, as in photos."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None, :])
    frequency[0, 0] = np.inf
    grey, *colours = (
        np.fft.irfft2(np.fft.rfft2(rng.normal(size=(SIDE, SIDE))) / frequency, s=(SIDE, SIDE)) for _ in range(4)
    )
    pixels = np.stack([grey + 0.3 * colour for colour in colours], axis=2)
    scaled = 128 + 55 * (pixels - pixels.mean()) / pixels.std()
    Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8)).save(path, quality=90)
    return path


def command(task: str, city: Path, artifacts: Path, *more: str) -> Command:
    """Return the command line of a task."""
    words = [sys.executable, "-m", "luigi", "--module", "workflows", task, "--dataset-folder", str(city.absolute())]
    words += ["--artifacts-folder", str(artifacts.absolute()), *EVALUATED, *more]
    return Command(words, {**os.environ, "PYTHONPATH": str(ROOT)}, ROOT)


def row(city: Path, artifacts: Path, shown: int) -> list[str]:
    """Measure a report of this many queries and return the cells below `TITLES`."""
    note(f"report of {shown} queries")
    write = command("WriteReport", city, artifacts, "--report-queries", str(shown))
    remove_reports(artifacts)
    took = measure(write)
    remove_reports(artifacts)
    peak = peak_memory(write)
    (page,) = (artifacts / "report").glob("*/current/report.html")
    text = page.read_text()
    pictures = re.findall(r'<img src="(data:[^"]+)" width="(\d+)" height="(\d+)"', text)
    embedded = sum(len(uri) for uri, _, _ in pictures)
    size_of_picture = np.mean([path.stat().st_size for path in (city / "pictures").iterdir()])
    plain = len(text) - embedded + len(pictures) * size_of_picture * 4 / 3  # in base 64
    side = max(max(int(width), int(height)) for _, width, height in pictures)
    return [
        *(f"{shown:,}", f"{len(pictures):,}", f"{len(text) / 1e6:.1f} MB", f"{len(text) / plain:.3f}"),
        *(f"{plain / 1e6:.0f} MB", str(took), as_gigabytes(peak), f"{side} pixels"),
    ]


def remove_reports(artifacts: Path) -> None:
    """Remove the reports, so that the next one is written."""
    shutil.rmtree(artifacts / "report", ignore_errors=True)


if __name__ == "__main__":
    main()
