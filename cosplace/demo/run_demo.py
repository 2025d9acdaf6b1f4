"""Run the whole pipeline on the toy city, from images to a report, as in `make demo`.

All results are in `demo/`; those that are up to date are not rebuilt.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

from data_manifest.store.find import list_current
from data_manifest.tables import read_table
from evaluation.report.settings import PAGE

CITY, ARTIFACTS = Path("demo/city"), Path("demo/artifacts")
CONFIG = Path(__file__).with_name("toy_city.cfg")
LUIGI = (sys.executable, "-m", "luigi", "--module", "workflows")


def main() -> int:
    """Run the stages in order; return the exit code of the first that fails, or 0."""
    began = time.monotonic()
    if not CITY.is_dir():
        status = run(
            "1. Render a toy city with SF-XL's file names", [sys.executable, "-m", "cosplace.demo.toy_city", str(CITY)]
        )
        if status:
            return status
    recalls = {}
    for title, name, extra in (
        ("2. Build manifest and groups, evaluate an untrained network", "before training", ["--epochs-num", "0"]),
        ("3. Train and evaluate", "after training", []),
    ):
        status = run(title, [*LUIGI, "EvaluateCosPlace", *extra])
        if status:
            return status
        recalls[name] = read_table(current("evaluation"), "recalls")
    status = run("4. Write the report", [*LUIGI, "WriteReport"])
    if status:
        return status
    print(f"\nDone in {time.monotonic() - began:.0f} seconds.\n\n{summary(recalls)}")
    return 0


def run(title: str, command: list[str]) -> int:
    """Print and run a command with the demo's configuration; return its exit code."""
    shown = " ".join(Path(part).name if part == sys.executable else part for part in command)
    print(f"\n{title}\n$ LUIGI_CONFIG_PATH={CONFIG} {shown}", flush=True)
    status = subprocess.run(command, env={**os.environ, "LUIGI_CONFIG_PATH": str(CONFIG)}, check=False).returncode
    if status:
        print(f"\nThe demo stopped: this command failed with exit code {status}.", file=sys.stderr)
    return status


def current(stage: str) -> Path:
    """Return the demo's current artifact of a stage; of manifests, that of the training images."""
    found = [path for path in list_current(ARTIFACTS) if path.parent.parent.name == stage]
    return next((path for path in found if path.parent.name.endswith("-train")), found[0])


def summary(recalls: dict[str, pl.DataFrame]) -> str:
    """Return the recalls before and after training, and the folders of all artifacts."""
    lines = ["Recall on the test set, with photos of years that training did not see:"]
    for name, table in recalls.items():
        lines.append(f"  {name:16}" + "".join(f"  R@{row['k']} {row['recall']:5.1f}%" for row in table.to_dicts()))
    lines += ["", "Results:", f"  images       {CITY}"]
    lines += [f"  {stage:12} {current(stage)}" for stage in ("manifest", "groups", "training", "evaluation")]
    lines += ["", f"Open in a browser: {current('report') / PAGE}"]
    lines += [f"List the tables:   python -m data_manifest paths --artifacts-folder {ARTIFACTS}"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
