"""Stop before a training that may be a mistake: the requested model is missing, but others of its data set exist."""

import contextlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.inspect.bars import table
from data_manifest.store.files import modified_ns
from data_manifest.store.recipe import Recipe, is_published
from data_manifest.store.references import RUN_FILE
from data_manifest.tables import best_epoch, read_table
from luigi_tasks.training.train_cosplace import TrainCosPlace
from training.recipe import run_folder, trained_on

MAX_MODELS, MAX_SETTINGS = 8, 3  # shown
TITLES = ("R@1", "date", "different settings")


def check_no_other_models(training: TrainCosPlace) -> None:
    """Check that a training, if it is to run, is the first of its data set or resumes exactly the requested run.

    Raises:
        UserError: Other models of the data set exist. The message is a table of them.
    """
    if is_published(training.model()):
        return
    recipe, artifacts = training.recipe(), training.artifacts_folder
    is_trained = recipe.settings["epochs_num"] > 0 and not _is_unfinished(run_folder(artifacts, recipe), recipe)
    if is_trained and (others := trained_on(artifacts, recipe, training.dataset.images("train"))):
        raise UserError("\n".join(_lines(recipe, others)))


def _is_unfinished(run: Path, recipe: Recipe) -> bool:
    """Return whether a run folder is of exactly this recipe."""
    with contextlib.suppress(OSError, ValueError, LookupError):
        return bool(json.loads((run / RUN_FILE).read_text())["digest"] == recipe.digest)
    return False


def _lines(recipe: Recipe, others: Sequence[tuple[Path, Mapping[str, Any]]]) -> Iterator[str]:
    yield "No model of this data set has these settings. Trained with others:"
    rows = [_row(path, dict(_different(recipe.settings, other["settings"]))) for path, other in others[:MAX_MODELS]]
    titles, *lines = table([TITLES, *rows], left=range(len(TITLES)))
    yield titles
    for line, (path, _) in zip(lines, others, strict=False):
        yield from (line, f"    cosplace evaluate {shlex.quote(str(path))}")
    if len(others) > MAX_MODELS:
        yield f"  and {len(others) - MAX_MODELS} older ones"
    yield "Evaluate one of them, or pass --train-new to train a new model."


def _row(model: Path, different: Mapping[str, str]) -> tuple[str, ...]:
    recall = best_epoch(read_table(model, "metrics"))["recall_1"].item()
    shown = ", ".join(f"{name} {value}" for name, value in list(different.items())[:MAX_SETTINGS])
    more = f", {len(different) - MAX_SETTINGS} more" if len(different) > MAX_SETTINGS else ""
    when = datetime.fromtimestamp(modified_ns(model) / 1e9).strftime("%Y-%m-%d %H:%M")
    best = "" if recall is None else f"{recall:.1f}"
    return best, when, f"{shown}{more}" or "none: other images or groups"


def _different(requested: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the settings of another model that differ from the requested ones, by name."""
    for name in {**requested, **other}:
        mine, its = requested.get(name), other.get(name)
        if isinstance(its, Mapping) and isinstance(mine, Mapping):
            yield from _different(mine, its)
        elif mine != its:
            yield name, f"{its} (not {mine})"
