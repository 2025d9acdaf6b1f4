"""Compare the recalls of a model on several test sets in one table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest import schemas
from data_manifest.inspect.bars import table
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table, write_table
from evaluation.metrics.certainty import CALIBRATED
from evaluation.recipe import comparison_recipe


def compare_evaluations(folders: Sequence[Path], artifacts: Path) -> Path:
    """Publish the recalls of several evaluations as one table, and return the folder; of one evaluation, its own."""
    if len(folders) == 1:
        return folders[0]
    recipes = [read_recipe(folder) for folder in folders]
    recipe = comparison_recipe([(each["name"], each["digest"]) for each in recipes])
    if published := find_published(artifacts, recipe):
        return published
    recalls, auprc = (pl.concat([read_table(folder, name) for folder in folders]) for name in ("recalls", "auprc"))
    with publishing(artifacts, recipe, {"made": f"recalls\n{as_text(recalls, auprc)}\n"}) as staging:
        write_table(recalls, staging / "recalls" / "recalls.parquet", schemas.RECALLS)
        write_table(auprc, staging / "auprc" / "auprc.parquet", schemas.AUPRC)
    return recipe.folder(artifacts)


def as_text(recalls: pl.DataFrame, auprc: pl.DataFrame) -> str:
    """Return recalls and AUPRC as aligned text: a line per test set, published recalls below it, notes at the end."""
    ks = recalls["k"].unique(maintain_order=True)
    names = ("within", "queries", "without a positive", "database")
    titles = ["", *(f"R@{k} (95 % interval)" for k in ks), "AUPRC", *names]
    numbered = recalls.with_columns(number=pl.int_range(pl.len()).over("test_set", "k"))  # sets may share a name
    areas = auprc.filter(certainty=CALIBRATED).with_columns(number=pl.int_range(pl.len()).over("test_set"))
    found = {(name, number): area for name, number, area in areas.select("test_set", "number", "auprc").iter_rows()}
    groups = numbered.group_by("test_set", "number", maintain_order=True)
    sets = [_lines(rows, found.get((str(name), number))) for (name, number), rows in groups]
    aligned = table([titles, *(line for lines in sets for line in lines)], left=range(len(titles)))
    return "\n".join([*(line[2:] for line in aligned), *_notes(recalls)])  # without the indent of `table`


def _lines(rows: pl.DataFrame, area: float | None) -> list[list[str]]:
    first = rows.row(0, named=True)
    ours = list(map(_recall, rows.to_dicts()))
    numbers = (first[name] for name in ("queries", "queries_without_positive", "database_images"))
    counts = ["" if number is None else f"{number:,}" for number in numbers]
    ours.append("" if area is None else f"{area:.1f}")
    lines = [[first["test_set"], *ours, f"{first['threshold']:g} {first['threshold_unit']}", *counts]]
    if rows["published_recall"].count():
        published = ["" if value is None else f"{value:.1f}" for value in rows["published_recall"]]
        lines.append(["  published", *published, "", "", "", "", ""])
    return lines


def _recall(row: dict[str, Any]) -> str:
    if row["recall"] is None:
        return ""
    return f"{row['recall']:.1f} ({row['interval_low']:.1f}-{row['interval_high']:.1f})"


def _notes(recalls: pl.DataFrame) -> list[str]:
    notes = []
    for row in recalls.unique("test_set", maintain_order=True).to_dicts():
        name = row["test_set"]
        if row["recall"] is None:
            notes.append(f"{name}: no ground truth, so no recalls. Its predictions are in its evaluation")
        if row["count_warning"]:
            notes.append(f"WARNING {name}: {row['count_warning']}")
        if row["queries_without_positive"] and row["recall_answerable"] is not None:
            notes.append(f"{name}: R@{row['k']} of the queries with a positive is {row['recall_answerable']:.1f}")
        if row["index_loss"] is not None:
            notes.append(f"{name}: the index {row['index']} loses {row['index_loss']:.1f} points of R@{row['k']}")
        if row["published_source"]:
            notes.append(f"{name}: published in {row['published_source']}")
    return notes
