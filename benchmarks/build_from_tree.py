"""How fast a tree of files is listed, against `find`, and how fast it becomes groups.

    python benchmarks/build_from_tree.py WORK [--millions 1 5.6]
    python benchmarks/build_from_tree.py WORK --clean    # removes the trees

Makes trees of empty files under WORK, with realistic SF-XL names in 300 folders, unless they are there. Measures `find`
and `scan_tree` in processes of their own by turns, then the stages as a user runs them (see stages.py). Prints tables
in Markdown, and the runs as they end to standard error. A tree is as it was in the end, so that the next run need not
make it again.
"""

import argparse
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from changes import image_added_to_tree, images_renamed_in_tree
from measure import Command, Measured, as_gigabytes, as_seconds, machine, measure, median, note, table
from sfxl_names import MIDDLE_FOLDER, make_tree
from stages import AGAIN, ROOT, Data, Rounds, again, run_rounds

TURNS = 3
FIND = 'find "$0" -name "*.jpg" | wc -l'
SCAN = """
import sys
from pathlib import Path
from pipeline.listing.folder_scan import Scan, scan_tree
print(sum(folder.count for folder in scan_tree(Path(sys.argv[1]), Scan()).folders.values()))
"""
LISTING = ("million files", "times as fast as find", "find, files a second", "ours, files a second", "find", "ours")
FROM_NOTHING = ("million files", "BuildGroups", "a million", "BuildManifest alone", "BuildGroups after it")


@dataclass(frozen=True)
class Row:
    """What was measured on a tree."""

    millions: float
    find: Measured
    scan: Measured
    ours: Rounds

    def listing(self) -> list[str]:
        """Return the cells of `LISTING`."""
        rates = (f"{self.millions * 1e6 / each.seconds:,.0f}" for each in (self.find, self.scan))
        faster = f"{self.find.seconds / self.scan.seconds:.2f}"
        return [f"{self.millions:g}", faster, *rates, str(self.find), str(self.scan)]

    def from_nothing(self) -> list[str]:
        """Return the cells of `FROM_NOTHING`."""
        ours, apart = self.ours, self.ours.apart
        whole, per_million = f"{ours.whole}, {as_gigabytes(ours.peak_bytes)}", ours.whole.seconds / self.millions
        return [f"{self.millions:g}", whole, as_seconds(per_million), str(apart.manifest), str(apart.groups)]

    def again(self) -> list[str]:
        """Return the cells of `AGAIN`."""
        return [f"{self.millions:g}", *again(self.ours)]


def measure_tree(work: Path, millions: float) -> Row:
    """Measure one size."""
    tree, count = work / f"tree-{millions:g}" / "train", round(millions * 1e6)
    if not tree.is_dir():
        note(f"making {millions:g} million files")
        began = time.monotonic()
        make_tree(tree, count)
        note(f"made in {as_seconds(time.monotonic() - began)}")
    note(f"{millions:g} million files")
    find, scan = measure_listing(tree, count)
    adding, renaming = (change(tree, MIDDLE_FOLDER) for change in (image_added_to_tree, images_renamed_in_tree))
    ours = run_rounds(Data(tree, tree.with_name("artifacts"), count), adding, renaming)
    return Row(millions, find, scan, ours)


def measure_listing(tree: Path, files: int) -> tuple[Measured, Measured]:
    """Measure `find` and `scan_tree` by turns, after one turn that brings the folders into memory.

    Raises:
        RuntimeError: They did not find the files that are there.
    """
    find = Command(["sh", "-c", FIND, str(tree)])
    scan = Command([sys.executable, "-c", SCAN, str(tree)], {**os.environ, "PYTHONPATH": str(ROOT)})
    turns = [(measure(find), measure(scan)) for _ in range(1 + TURNS)][1:]
    for each in (run for turn in turns for run in turn):
        if int(each.output) != files:
            raise RuntimeError(f"{each.output.strip()} files found in {tree}, it was made with {files}: give --clean")
    found, scanned = (median(runs) for runs in zip(*turns, strict=True))
    note(f"find: {found}; scan_tree: {scanned}")
    return found, scanned


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--millions", type=float, nargs="+", default=[1])
    parser.add_argument("--clean", action="store_true", help="remove all trees under WORK, and measure nothing")
    options = parser.parse_args()
    work = options.work.resolve()
    if options.clean:
        for folder in work.glob("tree-*"):
            shutil.rmtree(folder)
        return
    rows = [measure_tree(work, millions) for millions in options.millions]
    print(machine(), end="\n\n")
    print(table(LISTING, [row.listing() for row in rows]), end="\n\n")
    print(table(FROM_NOTHING, [row.from_nothing() for row in rows]), end="\n\n")
    print(table(["million files", *AGAIN], [row.again() for row in rows]))


if __name__ == "__main__":
    main()
