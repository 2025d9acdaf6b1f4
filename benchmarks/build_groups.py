"""How fast and in how much memory the names of a list file become groups, against plain Python loops over them.

    python benchmarks/build_groups.py WORK [--millions 1 5.6 20 41.2] [--order folders sorted interleaved random]
        [--plain-up-to 5.6]

Makes lists of realistic SF-XL names under WORK (100 bytes a name), unless they are there, and measures two plain loops
(see plain_groups.py), then the stages as a user runs them (see stages.py). Prints tables in Markdown, and the runs as
they end to standard error. A list is as it was in the end, so that the next run need not make it again.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from changes import image_added_to_list, images_renamed_in_list
from measure import Command, Measured, as_gigabytes, as_seconds, machine, measure, note, peak_memory, table
from sfxl_names import FOLDERS, HUGE_FOLDER, MIDDLE_FOLDER, ORDERS, write_list
from stages import AGAIN, ROOT, Data, Rounds, again, run_rounds

FROM_NOTHING = (
    "million names",
    "order",
    "BuildGroups",
    "memory",
    "a million",
    "BuildManifest alone",
    "BuildGroups after it",
)
AGAINST = (
    "million names",
    "order",
    "plain loop that keeps",
    "takes",
    "memory",
    "BuildGroups is faster",
    "with of its memory",
)
KEPT = {"fields": "what the tables do: every field", "paths": "the paths of each class alone"}


@dataclass(frozen=True)
class Plain:
    """A plain loop."""

    kept: str
    run: Measured
    peak_bytes: int

    @property
    def classes(self) -> int:
        """How many it found."""
        return int(self.run.output.split()[0])


@dataclass(frozen=True)
class Row:
    """What was measured on a list."""

    millions: float
    order: str
    plain: list[Plain]
    ours: Rounds

    def against(self) -> Iterator[list[str]]:
        """Give the cells of `AGAINST` for each loop."""
        for plain in self.plain:
            faster, memory = plain.run.seconds / self.ours.whole.seconds, self.ours.peak_bytes / plain.peak_bytes
            took = str(plain.run), as_gigabytes(plain.peak_bytes)
            yield [f"{self.millions:g}", self.order, KEPT[plain.kept], *took, f"{faster:.2f} times", f"{memory:.2f}"]

    def from_nothing(self) -> list[str]:
        """Return the cells of `FROM_NOTHING`."""
        ours = self.ours
        whole = str(ours.whole), as_gigabytes(ours.peak_bytes), as_seconds(ours.whole.seconds / self.millions)
        return [f"{self.millions:g}", self.order, *whole, str(ours.apart.manifest), str(ours.apart.groups)]

    def again(self) -> list[str]:
        """Return the cells of `AGAIN`."""
        return [f"{self.millions:g}", self.order, *again(self.ours)]


def measure_list(work: Path, millions: float, order: str, with_plain: bool) -> Row:
    """Measure one size in one order."""
    folder = work / f"list-{millions:g}-{order}"
    names, count = folder / "train_images_paths.txt", round(millions * 1e6)
    if not names.is_file():
        note(f"writing {millions:g} million names, {order}")
        write_list(names, count, order=order)
    note(f"{millions:g} million names, {order}")
    plain = [run_plain_loop(kept, names, folder / "plain.pickle") for kept in KEPT] if with_plain else []
    changed = HUGE_FOLDER if order == "sorted" else MIDDLE_FOLDER
    adding, renaming = (
        image_added_to_list(names, changed),
        images_renamed_in_list(names, changed, count // len(FOLDERS)),
    )
    ours = run_rounds(Data(folder / "train", folder / "artifacts", count), adding, renaming)
    if any(each.classes != ours.classes for each in plain):
        found = ", ".join(str(each.classes) for each in plain)
        raise RuntimeError(f"the plain loops found {found} classes, BuildGroups {ours.classes}")
    return Row(millions, order, plain, ours)


def run_plain_loop(kept: str, names: Path, out: Path) -> Plain:
    """Run a baseline, and remove what it made."""
    command = Command([sys.executable, str(ROOT / "benchmarks" / "plain_groups.py"), kept, str(names), str(out)])
    peak_bytes = peak_memory(command)  # reads the list from the disk, if that has to be
    plain = Plain(kept, measure(command), peak_bytes)
    note(f"plain loop that keeps {kept}: {plain.run}, {as_gigabytes(plain.peak_bytes)}")
    out.unlink()
    return plain


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 5.6, 20, 41.2])
    parser.add_argument("--order", nargs="+", choices=ORDERS, default=ORDERS)
    parser.add_argument("--plain-up-to", type=float, default=5.6, help="the plain loops need up to a GB a million")
    options = parser.parse_args()
    rows = [
        measure_list(options.work.resolve(), size, order, size <= options.plain_up_to)
        for size in options.millions
        for order in options.order
    ]
    print(machine(), end="\n\n")
    print(table(AGAINST, [cells for row in rows for cells in row.against()]), end="\n\n")
    print(table(FROM_NOTHING, [row.from_nothing() for row in rows]), end="\n\n")
    print(table(["million names", "order", *AGAIN], [row.again() for row in rows]))


if __name__ == "__main__":
    main()
