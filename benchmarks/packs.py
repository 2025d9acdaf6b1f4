"""Cost of packs: packing, reading images from packs and from their files, and finding images among millions.

`python benchmarks/packs.py WORK` writes JPEGs of noise into WORK and packs them. Files and packs are read in pairs, all
from the system's cache, and processor time is compared. Then the lookup table of 5.6 million images is written, and
searched in a process of its own.
"""

import argparse
import json
import multiprocessing
import random
import resource
import shutil
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from image_stores import SIDE, write_images
from measure import machine, table
from pairs import in_batches, time_pairs

from data_manifest import schemas
from data_manifest.images.image_store import FolderStore, ImageReader
from data_manifest.images.packs.lookup_table import write_lookup
from data_manifest.images.packs.open_packs import find_packs, open_packs
from data_manifest.images.packs.pack_store import PackStore, hash_of
from data_manifest.tables import make_frame, write_table
from pipeline.packs.pack_groups import pack_groups
from training.data.image_files import decode_image

MANY, CHUNK, SEARCHES = 5_600_000, 100_000, 20_000
TURNS, PAIR = 6, 4  # images that both sides read in turn
MB = 2**20


def write_groups(folder: Path, names: list[str]) -> Path:
    """Write a groups artifact of one group, and return its folder."""
    groups = folder / "groups"
    rows = [{"group_index": 0, "class_index": 0, "path": name} for name in sorted(names)]
    groups.mkdir(parents=True)
    write_table(make_frame(rows, schemas.MEMBERS), groups / "members" / "group-000000.parquet", schemas.MEMBERS)
    recipe = {"stage": "groups", "name": "noise", "digest": "abc", "settings": {}, "inputs": {}}
    (groups / "recipe.json").write_text(json.dumps(recipe))
    return groups


def decode_from(store: ImageReader, folder: Path, names: list[str]) -> None:
    """Read and decode images."""
    for name, content in zip(names, store.read(names), strict=True):
        decode_image(content, folder / name)


def compare(folder: Path, packed: ImageReader, names: list[str]) -> tuple[str, ...]:
    """Return a row: milliseconds per image from files and from packs, and the ratio of the times in pairs."""
    shuffled = random.Random(0).sample(names, len(names))
    sides = partial(decode_from, FolderStore(folder), folder), partial(decode_from, packed, folder)
    took = list(time_pairs(sides, in_batches(shuffled, PAIR, TURNS), time.process_time))
    ratios = [packs / files for files, packs in took]
    medians = [statistics.median(random.Random(seed).choices(ratios, k=len(ratios))) for seed in range(1000)]
    low, high = np.percentile(medians, (2.5, 97.5))
    milliseconds = (f"{1000 * statistics.median(each) / PAIR:.2f}" for each in zip(*took, strict=True))
    return "read and decode", *milliseconds, f"{statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})"


def write_many(lookup: Path) -> float:
    """Write a lookup table of many images, and return the seconds that it took."""
    columns, seconds = np.random.default_rng(0).integers(0, 2**40, (5, MANY), np.uint64), 0.0
    for begin in range(0, MANY, CHUNK):
        paths = [path_of(number) for number in range(begin, min(begin + CHUNK, MANY))]
        began = time.perf_counter()
        columns[0, begin : begin + CHUNK] = np.fromiter(map(hash_of, paths), np.uint64, len(paths))
        seconds += time.perf_counter() - began
    began = time.perf_counter()
    write_lookup([columns], lookup)
    return seconds + time.perf_counter() - began


def path_of(number: int) -> str:
    """Return a path as long as those of SF-XL."""
    return f"37.7{number % 97}/@{number:09d}@" + "x" * 80 + ".jpg"


def search_many(lookup: Path) -> tuple[float, float]:
    """Return the microseconds per search and the megabytes by which this process grew."""
    store = PackStore(lookup.parent, ("a.tar",), lookup)
    paths = [path_of(number) for number in random.Random(0).sample(range(MANY), SEARCHES)]
    before, began = private_mb(), time.perf_counter()
    for path in paths:
        assert store.find(path) is not None
    return (time.perf_counter() - began) / SEARCHES * 1e6, private_mb() - before


def private_mb() -> float:
    """Return the memory of this process that is not a mapped file, which processes share, in megabytes."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) / 1024


def measure_packs(work: Path, count: int) -> str:
    """Pack images, and return the time that it takes and the table."""
    folder, again = work / "images", work / "again"
    names = write_images(folder, count)
    shutil.rmtree(again, ignore_errors=True)
    groups = write_groups(again, names)
    began = time.perf_counter()
    packs = pack_groups(groups, [0], folder, again / "artifacts")
    seconds = time.perf_counter() - began
    store = open_packs(find_packs(packs), groups, [0], again / "packs.npy")
    size = sum((folder / name).stat().st_size for name in names)
    titles = ("", "files, ms per image", "packs, ms per image", "ratio of the times, 95 % interval")
    return (
        f"{len(names):,} JPEGs of {SIDE} x {SIDE}, {size / len(names) / 1000:.0f} kB each\n"
        f"packed in {seconds:.1f} s, {size / seconds / 1e6:.0f} MB/s\n" + table(titles, [compare(folder, store, names)])
    )


def measure_lookup(lookup: Path) -> str:
    """Write a lookup table of many images, and search it in a process of its own; return what both take."""
    seconds, size = write_many(lookup), lookup.stat().st_size
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        took, grown = processes.submit(search_many, lookup).result()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"lookup table of {MANY:,} images: {size / MB:.0f} MB on the disk, written in {seconds:.0f} s\n"
        f"a process that searches it takes {took:.1f} us per image, and {grown:.1f} MB of its own\n"
        f"peak memory of the process that writes it: {peak:.0f} MB"
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--images", type=int, default=500)
    options = parser.parse_args()
    shown = measure_packs(options.work, options.images), measure_lookup(options.work / "again" / "packs.npy")
    print(machine(), *shown, sep="\n")


if __name__ == "__main__":
    main()
