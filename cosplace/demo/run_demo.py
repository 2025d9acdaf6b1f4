"""`cosplace demo`: the whole pipeline on the toy city, from images to a report."""

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError, writing_in
from data_manifest.store.find import list_current
from data_manifest.tables import read_table
from evaluation.report.settings import PAGE
from serve.settings import INSTALL, missing_packages

SETTINGS = Path(__file__).with_name("toy_city.cfg")
SECTION = "[cosplace]\n"


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `cosplace demo`."""
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("demo"), metavar="FOLDER", help="folder of all files [demo]"
    )
    parser.set_defaults(run=lambda options: run_demo(options.folder))


def run_demo(folder: Path) -> int:
    """Run the stages in order; return the exit status of the first that fails, or 0.

    Artifacts that are up to date are not built again.

    Raises:
        UserError: The folder cannot be written, or its luigi.cfg was changed.
    """
    began = time.monotonic()
    city, artifacts, config = folder / "city", folder / "artifacts", folder / "luigi.cfg"
    _write_config(config, city, artifacts)
    recalls = {}
    try:
        if not city.is_dir():
            _print_title("1. Render a toy city with SF-XL's file names")
            _run("cosplace.demo.toy_city", str(city))
        for title, name, flags in (
            ("2. Build manifest and groups, and evaluate an untrained network", "before training", ["--epochs-num=0"]),
            ("3. Train, and evaluate", "after training", []),
        ):
            _print_title(title)
            _run("cosplace", "train", "--config", str(config), *flags)
            _run("cosplace", "evaluate", str(current(artifacts, "training")), "--config", str(config))
            recalls[name] = read_table(current(artifacts, "evaluation"), "recalls")
        _print_title("4. Write the report")
        _run("cosplace", "report", str(current(artifacts, "training")), "--config", str(config))
    except subprocess.CalledProcessError as error:
        print(f"\nThe demo stopped: this command failed with exit status {error.returncode}.", file=sys.stderr)
        return error.returncode
    print(f"\nDone in {time.monotonic() - began:.0f} seconds.\n")
    print(summary(artifacts, recalls))
    return 0


def summary(artifacts: Path, recalls: dict[str, pl.DataFrame]) -> str:
    """Return the recalls before and after training, and where the results are."""
    lines = ["Recall on the test set, with photos of years that training did not see:"]
    for name, table in recalls.items():
        lines.append(f"  {name:16}" + "".join(f"  R@{row['k']} {row['recall']:5.1f} %" for row in table.to_dicts()))
    lines += ["", f"Open in a browser:  {current(artifacts, 'report') / PAGE}"]
    lines += [f"List the artifacts: {shlex.join(['cosplace', 'list', '--artifacts-folder', str(artifacts)])}"]
    model, database = (str(current(artifacts, stage).parent) for stage in ("training", "evaluation"))
    lines += [f"Serve the city:     {shlex.join(['cosplace', 'serve', '--model', model, '--database', database])}"]
    if missing_packages():
        lines += [f"                    (first: {INSTALL})"]
    return "\n".join(lines)


def current(artifacts: Path, stage: str) -> Path:
    """Return the current artifact of a stage; of several, that of the training images."""
    found = [path for path in list_current(artifacts) if path.parent.parent.name == stage]
    return next((path for path in found if path.parent.name.endswith("-train")), found[0])


def _write_config(config: Path, city: Path, artifacts: Path) -> None:
    folders = f"{SECTION}dataset_folder = {city}\nartifacts_folder = {artifacts}\n".replace("%", "%%")
    text = SETTINGS.read_text().replace(SECTION, folders)
    if config.is_file() and config.read_text() != text:
        raise UserError(f"{config} was changed. Remove it to run the demo here, or choose another folder.")
    with writing_in(config.parent, "FOLDER"):
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(text)


def _print_title(title: str) -> None:
    print(f"\n{title}", flush=True)


def _run(module: str, *words: str) -> None:
    """Print and run a command; raises CalledProcessError if it fails."""
    shown = ["cosplace"] if module == "cosplace" else ["python", "-m", module]
    print(f"$ {shlex.join([*shown, *words])}", flush=True)
    subprocess.run([sys.executable, "-m", module, *words], check=True)
