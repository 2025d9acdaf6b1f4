"""Cost of noticing changed images: reading the states of a tree's files, against a plain loop of `os.stat`.

`python benchmarks/file_states.py WORK` makes a tree of empty files with SF-XL's names in WORK, keeps it for the next
run, and runs each side in a process of its own, in turns; the tree is in the system's cache.
"""

import argparse
import sys
import time
from pathlib import Path

from measure import Command, Measured, as_seconds, machine, measure, median, note, peak_memory, table

from pipeline.manifest.build_manifest import build_manifest

ROOT = Path(__file__).resolve().parent.parent
TURNS = 9
PLAIN = """
import os, sys, polars as pl, data_manifest.images.file_states
paths = pl.read_parquet(sys.argv[1] + "/manifest/*.parquet", columns=["path"])["path"].to_list()
for path in paths:
    os.stat(f"{sys.argv[2]}/{path}")
"""
OURS = """
import sys
from pathlib import Path
from data_manifest.images.file_states import stat_manifest
stat_manifest(Path(sys.argv[1]), Path(sys.argv[2]))
"""
START = "import data_manifest.images.file_states"


def make_tree(folder: Path, count: int) -> None:
    """Write empty files under SF-XL's names, a thousand per folder, unless they are there."""
    for number in range(count):
        name = f"@0545981.{number % 100:02}@4184971.70@10@S@037.81@-122.48@{number:022}@@174@@@@201409@@.jpg"
        file = folder / f"37.{number // 1000:04}" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(exist_ok=True)
    time.sleep(2.5)  # younger files are checked twice


def measure_all(work: Path, count: int) -> str:
    """Return the table of times."""
    make_tree(work / "tree", count)
    manifest = build_manifest(work / "tree", work / "artifacts")
    commands = {
        name: Command([sys.executable, "-c", code, str(manifest), str(work / "tree")], {"PYTHONPATH": str(ROOT)}, work)
        for name, code in (("Python and its imports", START), ("loop of os.stat", PLAIN), ("stat_manifest", OURS))
    }
    runs = {name: [] for name in commands}
    for _ in range(TURNS):
        for name, command in commands.items():
            runs[name].append(measure(command))
            note(f"{name}: {runs[name][-1]}")
    start, plain, ours = map(median, runs.values())
    rows = [("Python and its imports", str(start), "", "", "")]
    for name, took in (("loop of os.stat", plain), ("stat_manifest", ours)):
        seconds, processor = took.seconds - start.seconds, _processor(took) - _processor(start)
        share = f"{processor / (_processor(plain) - _processor(start)):.2f}"
        memory = f"{peak_memory(commands[name]) / 1e6:.0f} MB"
        rows.append((name, str(took), share, as_seconds(seconds / count * 2_800_000), memory))
    titles = (f"{count:,} files", "time", "times the loop's processor time", "2.8 million files at that rate", "memory")
    return table(titles, rows)


def _processor(took: Measured) -> float:
    return took.user_seconds + took.system_seconds


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--files", type=int, default=200_000)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    print(machine(), "", measure_all(options.work.resolve(), options.files), sep="\n")


if __name__ == "__main__":
    main()
