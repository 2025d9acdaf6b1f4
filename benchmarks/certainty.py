"""Compare three certainties: area under the precision-recall curve of correct and incorrect first matches.

    python benchmarks/certainty.py WORK [--seeds 2] [--weights squeezenet1_0_imagenet.pt]

On the toy city, which is rendered into WORK unless it is there, and on the photos of Paris if they are next to this
repository. Per seed, the demo's model is trained on the data set; finished models are not trained again. With --weights
of torchvision's SqueezeNet1_0, that network is measured too, before and after 120 iterations.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from measure import machine, note, table

from data_manifest.store.find import list_current
from data_manifest.tables import read_table
from evaluation.localization.calibration import Calibration
from evaluation.metrics.certainty import CALIBRATED, SIGNS, SIMILARITY
from evaluation.metrics.precision_recall import Curve, interval_of, resampled_areas
from evaluation.settings import WITHIN_25_M

ROOT = Path(__file__).resolve().parent.parent
PARIS = ROOT.parent / "shared" / "tools" / "make_paris_sample.py"
CONFIG = ROOT / "cosplace" / "demo" / "toy_city.cfg"
SIZE = 96  # pixels of the crops of Paris
Model = Sequence[str]  # flags of a training
DATA_SETS = {  # flags, and the command that makes the images
    "city": ((), [sys.executable, "-m", "cosplace.demo.toy_city"]),
    "paris": (  # a seventh of the city's training images
        ("--positive-dist-threshold", "5", "--iterations-per-epoch", "40"),
        [sys.executable, str(PARIS), "--size", str(SIZE)],
    ),
}
SHORT = ("--epochs-num", "2", "--iterations-per-epoch", "60", "--lr", "1e-4")
TITLES = ("data set", "model", "queries", "R@1", "certainty", "AUPRC (95 % interval)", "against similarity", "at 90 %")
LEAST = (50, 75, 90)  # percent
HALVES = ("data set", "model", "at least", "answered", "right, %")


def main() -> None:
    """Measure each data set, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, default=2, help="number of seeds, from 0 (default: %(default)s)")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="weights of SqueezeNet1_0, to measure it too")
    options = parser.parse_args()
    models: dict[str, Model] = {f"demo, seed {seed}": ("--seed", str(seed)) for seed in range(options.seeds)}
    if options.weights:
        flags = ("--backbone", "SqueezeNet1_0", "--backbone-weights", str(options.weights.resolve()))
        flags += ("--fc-output-dim", "512")
        models["SqueezeNet, untrained"] = (*flags, "--epochs-num", "0")
        models["SqueezeNet, trained"] = (*flags, *SHORT)
    work, rows, halves = options.work.resolve(), [], []
    for name, (of_set, make) in DATA_SETS.items():
        if name == "paris" and not PARIS.is_file():
            note(f"paris: skipped, no {PARIS}")
            continue
        if not (work / name).is_dir():
            subprocess.run([*make, str(work / name)], cwd=ROOT, stdout=sys.stderr, check=True)
        for model, flags in models.items():
            note(f"{name}: {model}")
            evaluation = evaluate(work / name, work / "artifacts", (*of_set, *flags))
            rows += [(name, model, *row) for row in rows_of(evaluation)]
            halves += [(name, model, *row) for row in held_out(read_table(evaluation, "certainty"))]
    print(f"{machine()}\n\n{table(TITLES, rows)}\n\n{table(HALVES, halves)}")


def evaluate(images: Path, artifacts: Path, flags: Model) -> Path:
    """Return the evaluation of a model that is trained with the demo's settings and these flags."""
    command = [sys.executable, "-m", "luigi", "--module", "workflows", "EvaluateCosPlace", "--train-new"]
    command += ["--dataset-folder", str(images), "--artifacts-folder", str(artifacts), *flags]
    subprocess.run(
        command, env={**os.environ, "LUIGI_CONFIG_PATH": str(CONFIG)}, cwd=ROOT, stdout=sys.stderr, check=True
    )
    evaluations = (path for path in list_current(artifacts) if path.parent.parent.name == "evaluation")
    (found,) = (path for path in evaluations if path.parent.name.endswith(f"{images.name}-test-queries_v1"))
    return found


def rows_of(evaluation: Path) -> Iterator[tuple[str, ...]]:
    """Yield a row per certainty: its area, the difference of the area, and the queries answered at 90 % precision."""
    certainty, auprc = read_table(evaluation, "certainty"), read_table(evaluation, "auprc")
    correct = certainty["correct"].to_numpy()
    curves = {name: Curve.of(name, certainty[name].to_numpy(), correct) for name in SIGNS}
    drawn = resampled_areas(curves, correct)
    recall = f"{100 * correct.mean():.1f}"
    for row in auprc.to_dicts():
        name = row["certainty"]
        interval = f"{row['auprc']:.1f} ({row['interval_low']:.1f} to {row['interval_high']:.1f})"
        yield f"{row['queries']}", recall, name, interval, _gain(auprc, name, drawn), f"{_answered(row):.0f} %"


def held_out(certainty: pl.DataFrame) -> Iterator[tuple[str, ...]]:
    """Yield a row per minimum certainty: answers to a random half of the queries, calibrated on the other half."""
    shuffled = certainty.sample(fraction=1.0, shuffle=True, seed=0)
    known, tested = shuffled[: len(shuffled) // 2], shuffled[len(shuffled) // 2 :]
    calibration = Calibration.of(known, WITHIN_25_M)  # its threshold matters only for photos
    percent = np.array([calibration.certainty_of(value).percent for value in tested[CALIBRATED]])
    correct = tested["correct"].to_numpy()
    for least in LEAST:
        answered = percent >= least
        right = f"{100 * correct[answered].mean():.1f}" if answered.any() else "-"
        yield f"{least} %", f"{answered.sum()} of {len(tested)}", right


def _gain(auprc: pl.DataFrame, name: str, drawn: dict[str, np.ndarray]) -> str:
    """Return the difference of the area to that of the similarity, with its interval over the same resamples."""
    if name == SIMILARITY:
        return ""
    areas = dict(auprc.select("certainty", "auprc").iter_rows())
    low, high = interval_of(100 * (drawn[name] - drawn[SIMILARITY]))
    return f"{areas[name] - areas[SIMILARITY]:+.1f} ({low:+.1f} to {high:+.1f})"


def _answered(row: dict[str, int]) -> float:
    return 100 * row["answered_90"] / row["queries"]


if __name__ == "__main__":
    main()
