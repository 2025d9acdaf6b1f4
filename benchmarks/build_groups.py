"""How fast and in how much memory names become groups, against a plain Python loop measured in the same run.

    python benchmarks/build_groups.py WORK [--millions 1 5.6 41.2] [--plain-up-to 5.6]

Makes lists of realistic SF-XL names under WORK (100 bytes a name), then runs BuildGroups on each as a user would:
from nothing, again with nothing changed, and again with one folder of 300 changed. Prints a table in Markdown.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from measure import Measured, measure
from sfxl_names import write_list

HERE = Path(__file__).resolve().parent


def build(train: Path, artifacts: Path) -> Measured:
    """Run BuildGroups in a process of its own."""
    command = [sys.executable, "-m", "luigi", "--module", "workflows", "BuildGroups"]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    return measure([*command, "--train-folder", str(train), "--artifacts-folder", str(artifacts)], environment)


def rows(work: Path, millions: float, with_plain: bool) -> None:
    """Measure one size, and print its row."""
    folder = work / f"{millions:g}"
    names, artifacts = folder / "train_images_paths.txt", folder / "artifacts"
    if not names.is_file():
        write_list(names, round(millions * 1e6))
    shutil.rmtree(artifacts, ignore_errors=True)
    plain = [sys.executable, str(HERE / "plain_groups.py"), str(names), str(folder / "plain.pickle")]
    baseline = measure(plain) if with_plain else None
    first = build(folder / "train", artifacts)
    second = build(folder / "train", artifacts)
    with names.open("a") as lines:
        lines.write("37.7000/@0543010.00@4173005.00@10@S@037.70327@-122.51208@added@@0@@@@202001@@.jpg\n")
    changed = build(folder / "train", artifacts)
    names.write_bytes(names.read_bytes().rpartition(b"37.7000/")[0]) if millions < 10 else names.unlink()
    per_million = first.seconds / millions
    against = (
        f"{baseline.seconds / first.seconds:.1f} x | {first.peak_bytes / baseline.peak_bytes:.2f}" if baseline else "|"
    )
    print(
        f"| {millions:g} | {baseline or ''} | {first} | {against} | {per_million:.2f} s | {second} | {changed} |",
        flush=True,
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 5.6, 41.2])
    parser.add_argument("--plain-up-to", type=float, default=5.6, help="the plain loop needs half a GB a million names")
    options = parser.parse_args()
    print("| million names | plain loop | ours | faster | memory | a million | nothing changed | one folder changed |")
    print("|---|---|---|---|---|---|---|---|")
    for millions in options.millions:
        rows(options.work, millions, with_plain=millions <= options.plain_up_to)


if __name__ == "__main__":
    main()
