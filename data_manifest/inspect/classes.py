"""Count classes and images per group, and the distribution of images per class.

JSON keys: stage, name, digest, path, settings (of the grouping), groups, classes, images, cells (distinct cells with
a class), by_group [group_index, classes, images, images_per_class], images_per_class {min, 10%, 25%,
50%, 75%, 90%, 99%, max}, classes_by_images [from, to, classes]. The quantile q is the smallest number of images that
at least a fraction q of the classes do not exceed.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.inspect.bars import bar, chart, table
from data_manifest.inspect.summary import identity, title
from data_manifest.store.find import read_recipe_of
from data_manifest.tables import scan_table

STAGE = "groups"
PERCENTS = (10, 25, 50, 75, 90, 99)
SHOWN_GROUPS = 50
CELL = ("utm_zone", "hemisphere", "cell_east", "cell_north")


def count_classes(artifact: Path) -> dict[str, Any]:
    """Return the counts of a groups artifact, with the keys documented in this module.

    Raises:
        UserError: The artifact is not of the stage groups.
    """
    recipe = read_recipe_of(artifact, "classes", (STAGE,))
    classes = scan_table(artifact, "classes")
    groups = group_sizes(classes).to_dicts()
    by_size = classes.group_by("num_images").len().sort("num_images")
    sizes = dict(by_size.collect(engine="streaming").iter_rows())
    return {
        **identity(recipe, artifact),
        "settings": recipe["settings"],
        "groups": len(groups),
        "classes": sum(row["classes"] for row in groups),
        "images": sum(row["images"] for row in groups),
        "cells": classes.select(CELL).unique().select(pl.len()).collect(engine="streaming").item(),
        "by_group": [{**row, "images_per_class": round(row["images"] / row["classes"], 1)} for row in groups],
        "images_per_class": find_quantiles(sizes),
        "classes_by_images": count_by_size(sizes),
    }


def group_sizes(classes: pl.LazyFrame) -> pl.DataFrame:
    """Return `group_index`, `classes` and `images` of each group in a classes table."""
    sizes = classes.group_by("group_index").agg(classes=pl.len(), images=pl.col("num_images").cast(pl.Int64).sum())
    return sizes.sort("group_index").collect(engine="streaming")


def find_quantiles(sizes: Mapping[int, int]) -> dict[str, int]:
    """Return the quantiles of images per class; `sizes` maps images per class, ascending, to the number of classes."""
    total = sum(sizes.values())
    if not total:
        return {}
    up_to = list(zip(sizes, accumulate(sizes.values()), strict=True))
    # Integers, because 0.9 * 10 is not exactly 9.
    inner = {percent: next(size for size, below in up_to if 100 * below >= percent * total) for percent in PERCENTS}
    return {"min": min(sizes), **{f"{percent}%": size for percent, size in inner.items()}, "max": max(sizes)}


def count_by_size(sizes: Mapping[int, int]) -> list[dict[str, int]]:
    """Return the number of classes by images per class, in ranges that double: 8 to 15, 16 to 31, ..."""
    by_bits = Counter[int]()
    for size, count in sizes.items():
        by_bits[size.bit_length()] += count
    ranges = range(min(by_bits, default=1), max(by_bits, default=0) + 1)
    return [{"from": 2 ** (bits - 1), "to": 2**bits - 1, "classes": by_bits[bits]} for bits in ranges]


def show_classes(facts: dict[str, Any], glyphs: str) -> str:
    """Return the result of `count_classes` as text."""
    figures = table([(name, f"{facts[name]:,}") for name in ("groups", "classes", "images", "cells")])
    quantiles = facts["images_per_class"]
    quantile_rows = [list(quantiles), [f"{size:,}" for size in quantiles.values()]]
    sizes = [(f"{row['from']:,} to {row['to']:,}", row["classes"]) for row in facts["classes_by_images"]]
    parts = [
        [title(facts), f"  {show_settings(facts['settings'])}", "", *figures],
        _show_groups(facts["by_group"], glyphs),
        ["quantiles of images per class", *table(quantile_rows, left=())],
        chart("classes by images per class", sizes, glyphs),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts)


def _show_groups(groups: list[dict[str, Any]], glyphs: str) -> list[str]:
    largest = max((row["images"] for row in groups), default=0)
    keys = ("group_index", "classes", "images", "images_per_class")
    shown = groups[:SHOWN_GROUPS]
    rows = [(*(f"{row[key]:,}" for key in keys), bar(row["images"], largest, glyphs)) for row in shown]
    hidden = len(groups) - SHOWN_GROUPS
    more = [f"  and {hidden:,} more groups: --format json lists all"] if hidden > 0 else []
    return ["images by group", *table([("group", "classes", "images", "per class", ""), *rows], left=(4,)), *more]


def show_settings(settings: Mapping[str, Any]) -> str:
    """Return settings as text such as `M = 10, alpha = 30`."""
    texts = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in settings.items()}
    return ", ".join(f"{name} = {text}" for name, text in texts.items())
