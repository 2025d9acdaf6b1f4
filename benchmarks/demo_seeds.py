"""The recalls of the demo's model, trained with several seeds: how far they vary.

    python benchmarks/demo_seeds.py WORK [--seeds 5]

Renders the toy city into WORK unless it is there, then trains and evaluates the demo's model once per seed. Finished
models are not trained again.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
from measure import machine, note, table

from data_manifest.store.find import list_current
from data_manifest.tables import read_table

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, from 0 (default: %(default)s)")
    options = parser.parse_args()
    city, artifacts = (options.work.resolve() / name for name in ("city", "artifacts"))
    if not city.is_dir():
        subprocess.run([sys.executable, "-m", "cosplace.demo.toy_city", city], cwd=ROOT, check=True)
    found = pl.concat([recalls(city, artifacts, seed) for seed in range(options.seeds)])
    print(f"{machine()}\n\n{table(('recall', 'mean', 'lowest', 'highest'), rows(found))}")


def recalls(city: Path, artifacts: Path, seed: int) -> pl.DataFrame:
    """Return the columns k and recall, in percent, of the model that was trained with a seed."""
    note(f"seed {seed}")
    command = [sys.executable, "-m", "luigi", "--module", "workflows", "EvaluateCosPlace", "--train-new"]
    command += ["--seed", str(seed), "--dataset-folder", str(city), "--artifacts-folder", str(artifacts)]
    config = str(ROOT / "cosplace" / "demo" / "toy_city.cfg")
    subprocess.run(command, env={**os.environ, "LUIGI_CONFIG_PATH": config}, cwd=ROOT, check=True)
    (evaluation,) = (path for path in list_current(artifacts) if path.parent.parent.name == "evaluation")
    return read_table(evaluation, "recalls", ["k", "recall"])


def rows(found: pl.DataFrame) -> list[list[str]]:
    """Return a row for each k, over the seeds."""
    figures = (pl.col("recall").mean().alias("mean"), pl.col("recall").min().alias("low"), pl.col("recall").max())
    by_k = found.group_by("k").agg(*figures).sort("k")
    return [[f"R@{k}", *(f"{value:.1f}" for value in values)] for k, *values in by_k.iter_rows()]


if __name__ == "__main__":
    main()
