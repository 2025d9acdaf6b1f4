"""The whole pipeline on the toy city, as `make demo` runs it: from images to an evaluation, and a report on it.

Everything is made under `demo/`. What is there already is not made again.
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

EXAMPLES = Path(__file__).resolve().parent
CITY, ARTIFACTS = Path("demo/city"), Path("demo/artifacts")
CONFIG = EXAMPLES / "toy_city.cfg"
LUIGI = (sys.executable, "-m", "luigi", "--module", "workflows")


def main() -> int:
    """Run the stages one after the other; return the exit status of the first that fails, or 0."""
    os.chdir(EXAMPLES.parent)
    began = time.monotonic()
    if not CITY.is_dir():
        status = run("1. A toy city, in SF-XL's naming", [sys.executable, str(EXAMPLES / "toy_city.py"), str(CITY)])
        if status:
            return status
    recalls = {}
    for title, name, extra in (
        ("2. Manifest, groups, and the recalls of an untrained network", "before training", ["--epochs-num", "0"]),
        ("3. Training, and the recalls of the trained network", "after training", []),
    ):
        status = run(title, [*LUIGI, "EvaluateCosPlace", *extra])
        if status:
            return status
        recalls[name] = read_table(current("evaluation"), "recalls")
    status = run("4. The report", [*LUIGI, "WriteReport"])
    if status:
        return status
    print(f"\nDone in {time.monotonic() - began:.0f} seconds.\n\n{summary(recalls)}")
    return 0


def run(title: str, command: list[str]) -> int:
    """Show and run a command with the demo's configuration, and return its exit status."""
    shown = " ".join(Path(part).name if part == sys.executable else part for part in command)
    print(f"\n{title}\n$ LUIGI_CONFIG_PATH={CONFIG.relative_to(Path.cwd())} {shown}", flush=True)
    status = subprocess.run(command, env={**os.environ, "LUIGI_CONFIG_PATH": str(CONFIG)}, check=False).returncode
    if status:
        print(f"\nThe demo stops here: this command ended with status {status}.", file=sys.stderr)
    return status


def current(stage: str) -> Path:
    """Return the demo's current artifact of a stage: of the manifests, that of the images trained on."""
    found = [path for path in list_current(ARTIFACTS) if path.parent.parent.name == stage]
    return next((path for path in found if path.parent.name.endswith("-train")), found[0])


def summary(recalls: dict[str, pl.DataFrame]) -> str:
    """Return the recalls before and after training, and where everything is."""
    lines = ["Recall on the test set, photos of years never trained on:"]
    for name, table in recalls.items():
        lines.append(f"  {name:16}" + "".join(f"  R@{row['k']} {row['recall']:5.1f}%" for row in table.to_dicts()))
    lines += ["", "What was made:", f"  images       {CITY}"]
    lines += [f"  {stage:12} {current(stage)}" for stage in ("manifest", "groups", "training", "evaluation")]
    lines += ["", f"Open in a browser: {current('report') / PAGE}"]
    lines += [f"Look inside:       python -m data_manifest paths --artifacts-folder {ARTIFACTS}"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
