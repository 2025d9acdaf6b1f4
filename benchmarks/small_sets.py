"""Test recalls of training settings on small data sets, against the untrained network, over several seeds.

    python benchmarks/small_sets.py WORK --weights squeezenet1_0.pt [--street FOLDER]       # one seed
    python benchmarks/small_sets.py WORK ... --seeds 3 --settings untrained mild-1e-4       # some settings, more seeds

Renders toy cities into WORK and adds one row per training to WORK/results.csv, so that an interrupted study resumes.
`--street` is a folder with SF-XL's file names whose training images are of the places of its test set.
"""

import argparse
import csv
import dataclasses
import math
import shlex
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from measure import Command, machine, measure, note, table
from small_sets_data import SmallSet, make_sets

from data_manifest.store.find import list_current
from data_manifest.tables import read_table
from pipeline.manifest.build_manifest import build_manifest
from pipeline.planning.advise import advise

ROOT = Path(__file__).resolve().parent.parent
ADVISED = "advised"  # the command that `advise` prints
COLUMNS = ("set", "settings", "seed", "r1", "r5", "seconds")
STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}  # 95 %, by number of seeds
COMMON = {
    "backbone": "SqueezeNet1_0",
    "batch_size": "16",
    "epochs_num": "3",
    "iterations_per_epoch": "60",
    "device": "cpu",
    "train_new": "true",
    "num_workers": "1",
    "infer_batch_size": "32",
}
MILD = {"brightness": "0.3", "contrast": "0.3", "saturation": "0.3", "hue": "0.05", "random_resized_crop": "0.2"}
NO_AUGMENTATION = dict.fromkeys(MILD, "0")
ALL = {"train_all_layers": "true"}
SETTINGS: dict[str, dict[str, str]] = {
    "untrained": {"epochs_num": "0"},
    "published": {},
    "mild": MILD,
    "published-1e-4": {"lr": "1e-4"},
    "mild-1e-4": {**MILD, "lr": "1e-4"},
    "none-1e-4": {**NO_AUGMENTATION, "lr": "1e-4"},
    "mild-1e-4-all": {**MILD, "lr": "1e-4", **ALL},
    "mild-3e-4": {**MILD, "lr": "3e-4"},
    "mild-1e-3-all": {**MILD, "lr": "1e-3", **ALL},
    "mild-3e-4-all": {**MILD, "lr": "3e-4", **ALL},
    "mild-1e-4-all-long": {**MILD, "lr": "1e-4", **ALL, "epochs_num": "12", "patience": "3"},
}
NAMES = ["untrained", ADVISED, *(name for name in SETTINGS if name != "untrained")]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One training: recalls on the test set in percent, and the seconds of training and evaluation."""

    set: str
    settings: str
    seed: int
    r1: float
    r5: float
    seconds: float


def main() -> None:
    """Run the command line."""
    options = make_parser().parse_args()
    work = options.work.resolve()
    sets = make_sets(work, options.weights.resolve(), options.street and options.street.resolve())
    chosen = [each for each in sets if not options.sets or each.name in options.sets]
    done = {(each.set, each.settings, each.seed) for each in read_outcomes(work)}
    for seed in range(options.seeds):
        for name in options.settings:
            for each in chosen:
                if (each.name, name, seed) not in done:
                    add_outcome(work, run(each, name, seed, work / "artifacts" / each.name))
    print(f"{machine()}\n\n{table(('set', 'settings', 'seeds', 'R@1', 'gain', 'R@5'), rows(read_outcomes(work)))}")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="torchvision state dict of SqueezeNet1_0")
    parser.add_argument("--street", type=Path, help="folder of street photos named as in SF-XL (default: none)")
    parser.add_argument("--sets", nargs="+", help="names of the sets (default: all)")
    parser.add_argument("--settings", nargs="+", choices=NAMES, default=NAMES, help="(default: all)")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0 (default: %(default)s)")
    return parser


def run(each: SmallSet, name: str, seed: int, artifacts: Path) -> Outcome:
    """Train and evaluate one network."""
    note(f"{each.name}, {name}, seed {seed}")
    settings = advised(each, artifacts) if name == ADVISED else SETTINGS[name]
    given = {**COMMON, **each.parameters, **settings, "seed": str(seed), "artifacts_folder": str(artifacts)}
    flags = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    command = [sys.executable, "-m", "luigi", "--module", "workflows", "EvaluateCosPlace", "--train-new", *flags]
    seconds = measure(Command(command, folder=ROOT)).seconds
    (evaluation,) = (path for path in list_current(artifacts) if path.parent.parent.name == "evaluation")
    recalls = dict(read_table(evaluation, "recalls", ["k", "recall"]).iter_rows())
    note(f"R@1 {recalls[1]:.1f}")
    return Outcome(each.name, name, seed, recalls[1], recalls[5], seconds)


def advised(each: SmallSet, artifacts: Path) -> dict[str, str]:
    """Return the settings of the training command that `advise` prints, without its folders."""
    images = each.parameters.get("train_folder") or str(Path(each.parameters["dataset_folder"]) / "train")
    words = shlex.split(advise(build_manifest(Path(images), artifacts), artifacts).commands[-1])
    flags = zip(words[4::2], words[5::2], strict=True)
    settings = {flag[2:].replace("-", "_"): value for flag, value in flags if not flag.endswith("-folder")}
    return {**settings, "lr": "0.001"} if each.parameters["backbone_weights"] == "none" else settings  # as it notes


def read_outcomes(work: Path) -> list[Outcome]:
    """Return the outcomes so far."""
    file = work / "results.csv"
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return [
            Outcome(row["set"], row["settings"], int(row["seed"]), *(float(row[name]) for name in COLUMNS[3:]))
            for row in csv.DictReader(lines)
        ]


def add_outcome(work: Path, outcome: Outcome) -> None:
    """Append an outcome to the results."""
    is_new = not (work / "results.csv").exists()
    with (work / "results.csv").open("a", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(COLUMNS)
        writer.writerow(dataclasses.astuple(outcome))


def rows(outcomes: Sequence[Outcome]) -> Iterator[list[str]]:
    """Yield a row per set and settings; the gain over the untrained network is paired by seed."""
    untrained = {(each.set, each.seed): each.r1 for each in outcomes if each.settings == "untrained"}
    for set_name, name in sorted({(each.set, each.settings) for each in outcomes}, key=_order):
        found = [each for each in outcomes if (each.set, each.settings) == (set_name, name)]
        gains = [each.r1 - untrained[each.set, each.seed] for each in found if (each.set, each.seed) in untrained]
        gain = "" if name == "untrained" or not gains else f"{statistics.mean(gains):+.1f}{interval(gains)}"
        r1, r5 = ([getattr(each, field) for each in found] for field in ("r1", "r5"))
        mean = f"{statistics.mean(r1):.1f}{interval(r1)}"
        yield [set_name, name, str(len(found)), mean, gain, f"{statistics.mean(r5):.1f}"]


def interval(values: Sequence[float]) -> str:
    """Return half the width of Student's 95 % confidence interval of a mean, as ` ± 1.2`; empty for one value."""
    if len(values) not in STUDENT_T:
        return ""
    return f" ± {STUDENT_T[len(values)] * statistics.stdev(values) / math.sqrt(len(values)):.1f}"


def _order(key: tuple[str, str]) -> tuple[str, int]:
    return key[0], NAMES.index(key[1]) if key[1] in NAMES else len(NAMES)


if __name__ == "__main__":
    main()
