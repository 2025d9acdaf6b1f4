"""How long commands take to show a first sign of life on a terminal, and what they have imported until then.

    python benchmarks/first_line.py [--runs 5] [--imports]

Each command is started in a copy of the project with a toy data set of tiny files, timed until its first visible
text, and killed. Once more, Python tells what it imports: a module in HEAVY is a mistake, unless it is used that early.
`--imports` adds which packages took the most time. Prints a table in Markdown.
"""

import argparse
import io
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import termios
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from measure import Command, as_seconds, machine, table
from PIL import Image
from sfxl_names import make_tree
from stages import ROOT

HEAVY = ("torch", "torchvision", "faiss", "dask", "distributed", "scipy", "sklearn", "pandas", "matplotlib")
PARTS = {"train": 5000, **dict.fromkeys(("val/database", "val/queries", "test/database", "test/queries_v1"), 500)}
NOT_COPIED = (".git", ".venv", "demo", "artifacts", ".*_cache", "__pycache__")
TITLES = ("command", "first visible text", "heavy imports until then", "the text")
IMPORTED = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)")  # as `python -X importtime` tells of a module
LONGEST_SHOWN = 60
WINDOW = (24, 100)  # lines, columns


@dataclass(frozen=True)
class Sign:
    """The first visible text of a command, and the microseconds that each package took to import until then."""

    seconds: float
    text: str
    imports: Counter[str]


def first_sign(command: Command) -> Sign:
    """Start a command on a terminal, wait for its first visible text, and kill it and what it started.

    Raises:
        RuntimeError: It ended without one.
    """
    terminal, end = os.openpty()
    termios.tcsetwinsize(end, WINDOW)  # a progress bar is not drawn where there is no room
    began, shown = time.monotonic(), ""
    with subprocess.Popen(
        command.words, env=command.environment, cwd=command.folder, stdout=end, stderr=end, start_new_session=True
    ) as process:
        os.close(end)
        try:
            while not (text := visible(shown)):
                shown += os.read(terminal, 1 << 16).decode(errors="replace")
            seconds = time.monotonic() - began
        except OSError as error:  # the terminal's other end was closed
            raise RuntimeError(f"{' '.join(command.words)} ended without a word") from error
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            os.close(terminal)
    return Sign(seconds, text, imports_in(shown))


def visible(shown: str) -> str:
    """Return the first line that is not about imports, or nothing."""
    lines = (line.strip() for line in re.split(r"[\r\n]+", shown))
    return next((line for line in lines if line and not line.startswith("import time:"[: len(line)])), "")


def imports_in(shown: str) -> Counter[str]:
    """Return the microseconds that the modules of each package took by themselves."""
    took: Counter[str] = Counter()
    for microseconds, module in IMPORTED.findall(shown):
        took[module.partition(".")[0]] += int(microseconds)
    return took


def toy_project(folder: Path) -> Path:
    """Copy the project, which its demo writes into, with files of one grey pixel where the demo's images would be."""
    project = Path(shutil.copytree(ROOT, folder / "project", ignore=shutil.ignore_patterns(*NOT_COPIED)))
    pixel = io.BytesIO()
    Image.new("L", (1, 1)).save(pixel, "JPEG")
    for part, count in PARTS.items():
        make_tree(project / "demo" / "city" / part, count)
        for image in (project / "demo" / "city" / part).rglob("*.jpg"):  # the first one of some is opened
            image.write_bytes(pixel.getvalue())
    return project


def commands() -> dict[str, list[str]]:
    """Return what is timed, by how it is shown."""
    luigi = ["-m", "luigi", "--module", "workflows"]
    folders = ["--dataset-folder", "demo/city", "--artifacts-folder", "demo/artifacts"]
    return {
        "cosplace demo": ["-m", "cosplace", "demo"],
        "cosplace.demo.toy_city": ["-m", "cosplace.demo.toy_city", "demo/new"],
        "luigi ... BuildGroups": [*luigi, "BuildGroups", *folders],
        "luigi ... EvaluateCosPlace": [*luigi, "EvaluateCosPlace", *folders, "--epochs-num", "0"],
        "luigi ... BuildGroups --help": [*luigi, "BuildGroups", "--help"],
    }


def row(project: Path, shown: str, words: list[str], runs: int) -> tuple[list[str], Counter[str]]:
    """Time a command, and return its cells of `TITLES` and what its imports took."""

    def sign(*options: str) -> Sign:
        environment = {**os.environ, "PYTHONPATH": str(project), "LUIGI_CONFIG_PATH": "cosplace/demo/toy_city.cfg"}
        found = first_sign(Command([sys.executable, *options, *words], environment, project))
        shutil.rmtree(project / "demo" / "artifacts", ignore_errors=True)
        return found

    seconds = statistics.median(sign().seconds for _ in range(runs))
    told = sign("-X", "importtime")
    heavy = [package for package in HEAVY if package in told.imports]
    text = " ".join(told.text.split())[:LONGEST_SHOWN].replace("|", r"\|")
    cells = [f"`{shown}`", as_seconds(seconds), ", ".join(heavy) or "none", f"`{text}`"]
    return cells, told.imports


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of which the median is shown")
    parser.add_argument("--imports", action="store_true", help="tell which packages take the most time to import")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = toy_project(Path(folder))
        rows = {shown: row(project, shown, words, options.runs) for shown, words in commands().items()}
    print(machine(), end="\n\n")
    print(table(TITLES, [cells for cells, _ in rows.values()]))
    for shown, (_, imports) in rows.items() if options.imports else ():
        slowest = ", ".join(
            f"{package} {microseconds / 1000:.0f} ms" for package, microseconds in imports.most_common(12)
        )
        print(f"\n`{shown}`, {sum(imports.values()) / 1000:.0f} ms of imports: {slowest}")


if __name__ == "__main__":
    main()
