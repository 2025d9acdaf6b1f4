"""Which files a manifest rejects, a check found bad, or could not be cut, and why: counts by reason, and some of each.

JSON keys: stage, name, digest, path, made (the whole in a line), rejects, rejects_by_reason [reason, files], examples
[path, reason, detail].
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.errors import UserError
from data_manifest.inspect.bars import chart, printable
from data_manifest.inspect.summary import count_reasons, identity, reasons, title
from data_manifest.store.lookup import read_recipe_of
from data_manifest.store.references import CHECK_STAGES, MANIFEST_STAGES
from data_manifest.tables import scan_rejects

LIMIT = 5
COUNTED = ("rejects: ", "not cut: ")  # begin the keys of a summary that count a reason, be it 0 times


def list_rejects(artifact: Path, reason: str | None = None, limit: int = LIMIT) -> dict[str, Any]:
    """Return the rejects of a manifest, under the keys that this module documents.

    Args:
        artifact: Folder of a published manifest, of checks, or of crops.
        reason: The one that is looked at; all by default.
        limit: How many files of each reason are shown, the first in the order of the table.

    Raises:
        UserError: The artifact is none of these, or there is no such reason.
    """
    recipe = read_recipe_of(artifact, "rejects", (*MANIFEST_STAGES, *CHECK_STAGES))
    if limit < 0:
        raise UserError(f"--limit {limit}: how many files of each reason to show, from 0 up")
    counts = count_reasons(artifact)
    if reason is not None:
        _check_known(reason, recipe["summary"], counts)
        counts = {reason: counts.get(reason, 0)}
    return {
        **identity(recipe, artifact),
        "made": recipe["summary"].get("made"),
        "rejects": sum(counts.values()),
        "rejects_by_reason": [{"reason": each, "files": count} for each, count in counts.items()],
        "examples": [row for each in counts for row in _examples(artifact, each, limit)],
    }


def _check_known(reason: str, summary: Mapping[str, Any], found: Iterable[str]) -> None:
    reasons = {*found, *summary.get("bad", {}), *(key.partition(": ")[2] for key in summary if key.startswith(COUNTED))}
    if reason not in reasons:
        known = f"it is one of {', '.join(sorted(reasons))}" if reasons else "nothing is rejected"
        raise UserError(f"--reason {reason!r}: there is no such reason; {known}")


def _examples(artifact: Path, reason: str, limit: int) -> list[dict[str, str]]:
    """Return the first rejects of a reason: reading ends where there are enough."""
    found = scan_rejects(artifact).filter(pl.col("reason") == reason).select("path", "reason", "detail").head(limit)
    return found.collect(engine="streaming").to_dicts()


def show_rejects(facts: dict[str, Any], glyphs: str) -> str:
    """Return the rejects of a manifest as text."""
    if not facts["rejects"]:
        return f"{title(facts)}\n\nno rejects"
    parts = [title(facts), "\n".join(chart(f"{facts['rejects']:,} rejects by reason", reasons(facts), glyphs))]
    for reason, _ in reasons(facts):
        examples = [row for row in facts["examples"] if row["reason"] == reason]
        lines = [f"  {printable(row['path'])}: {printable(row['detail'])}" for row in examples]
        parts += ["\n".join([reason, *lines])] if lines else []
    return "\n\n".join(parts)
