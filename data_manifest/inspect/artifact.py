"""Any artifact: what it was built from, and the rows of its tables.

JSON keys: stage, name, digest, path, made (one-line summary), tables [table, rows], settings, inputs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.inspect.bars import table
from data_manifest.tables import scan_table


def describe(artifact: Path, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts on an artifact with this recipe, by the keys above."""
    names = sorted({file.parent.name for file in artifact.glob("*/*.parquet")})
    rows = [{"table": name, "rows": scan_table(artifact, name).select(pl.len()).collect().item()} for name in names]
    known = {key: recipe[key] for key in ("stage", "name", "digest")}
    more = {"settings": recipe["settings"], "inputs": recipe["inputs"]}
    return {**known, "path": str(artifact), "made": recipe["summary"].get("made"), "tables": rows, **more}


def show(facts: Mapping[str, Any]) -> str:
    """Return the facts of `describe` as text."""
    lines = [f"{facts['stage']} {facts['name']} {facts['digest']}: {facts['made']}"]
    if facts["tables"]:
        rows = [(each["table"], f"{each['rows']:,}") for each in facts["tables"]]
        lines += ["", *table([("table", "rows"), *rows], left=(0,))]
    for part in ("settings", "inputs"):
        if facts[part]:
            lines += ["", *table([(part, ""), *_flat(facts[part])], left=(0, 1))]
    return "\n".join(lines)


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Yield the names and values of nested settings, as in `grouping.M`."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", "none" if value is None else str(value)
