"""List the files that a manifest, a check, a crop or packs reject: counts by reason with examples, or one file.

JSON keys: stage, name, digest, path, made (one-line summary), rejects, rejects_by_reason [reason, files], examples
[path, reason, detail]. With --path: stage, name, digest, path, file, state (used, rejected or unknown), reason, detail,
same_name (paths of files with the same base name, if the file is unknown).
"""

from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import folder_of
from data_manifest.inspect.bars import chart, printable
from data_manifest.inspect.summary import count_reasons, identity, reasons, title
from data_manifest.store.find import read_recipe_of
from data_manifest.store.references import CHECK_STAGES, MANIFEST_STAGES
from data_manifest.tables import STATUS_TABLES, scan_rejects, scan_table

MAX_EXAMPLES = 5
STAGES = (*MANIFEST_STAGES, *CHECK_STAGES, "packs")
STATES = {
    "used": "not rejected",
    "rejected": "rejected",
    "unknown": "not listed: it was not among the images when this artifact was built",
}


def list_rejects(artifact: Path, reason: str | None = None, limit: int = MAX_EXAMPLES) -> dict[str, Any]:
    """Return the rejects of an artifact, with the keys documented in this module.

    Args:
        artifact: A manifest, check, crop or packs.
        reason: The only reason to report; all by default.
        limit: Number of examples per reason, in the order of the table.

    Raises:
        UserError: The artifact has no rejects table, or the reason is unknown.
    """
    recipe = read_recipe_of(artifact, "rejects", STAGES)
    if limit < 0:
        raise UserError(f"--limit {limit}: give 0 or more files per reason.")
    counts = count_reasons(artifact)
    if reason is not None:
        known = counts.keys() | recipe["summary"].get("rejects", {})
        if reason not in known:
            choices = f"Choose from {', '.join(sorted(known))}." if known else "Nothing is rejected."
            raise UserError(f"--reason {reason!r}: unknown reason. {choices}")
        counts = {reason: counts.get(reason, 0)}
    return {
        **identity(recipe, artifact),
        "made": recipe["summary"].get("made"),
        "rejects": sum(counts.values()),
        "rejects_by_reason": [{"reason": each, "files": count} for each, count in counts.items()],
        "examples": [row for each in counts for row in _examples(artifact, each, limit)],
    }


def explain_file(artifact: Path, file: str) -> dict[str, Any]:
    """Return whether an artifact uses or rejects one file, and why, with the keys documented in this module.

    The file's path is relative to the images folder, or has that folder in front.

    Raises:
        UserError: The artifact has no rejects table.
    """
    recipe = read_recipe_of(artifact, "rejects", STAGES)
    path = _relative(file, recipe["summary"].get("origin"))
    base_name = path.rpartition("/")[2]
    same = (pl.col("path") == base_name) | pl.col("path").str.ends_with(f"/{base_name}")
    rejected = (
        scan_rejects(artifact).filter(same).collect(engine="streaming").rows_by_key("path", named=True, unique=True)
    )
    table = next(name for name in (*STATUS_TABLES, "manifest", "index") if (artifact / name).is_dir())
    listed = scan_table(artifact, table).select("path").filter(same).collect(engine="streaming")["path"].to_list()
    state = "rejected" if path in rejected else "used" if path in listed else "unknown"
    same_name = sorted({*listed, *rejected})[:MAX_EXAMPLES] if state == "unknown" else []
    found = rejected.get(path, {"reason": None, "detail": None})
    return {
        **identity(recipe, artifact),
        **{"file": path, "state": state, "reason": found["reason"], "detail": found["detail"]},
        "same_name": same_name,
    }


def _relative(file: str, origin: str | None) -> str:
    """Return a path relative to the images folder."""
    folder = folder_of(origin) if origin else None
    for start in (f"{folder}/", f"{folder.absolute()}/") if folder else ():
        if file.startswith(start):
            return file.removeprefix(start)
    return file.removeprefix("./")


def _examples(artifact: Path, reason: str, limit: int) -> list[dict[str, str]]:
    matching = scan_rejects(artifact).filter(pl.col("reason") == reason).select("path", "reason", "detail").head(limit)
    return matching.collect(engine="streaming").to_dicts()


def show_rejects(facts: dict[str, Any], glyphs: str) -> str:
    """Return the result of `list_rejects` as text."""
    if not facts["rejects"]:
        return f"{title(facts)}\n\nno rejects"
    parts = [title(facts), "\n".join(chart(f"{facts['rejects']:,} rejects by reason", reasons(facts), glyphs))]
    for reason, _ in reasons(facts):
        examples = [row for row in facts["examples"] if row["reason"] == reason]
        lines = [f"  {printable(row['path'])}: {printable(row['detail'])}" for row in examples]
        parts += ["\n".join([reason, *lines])] if lines else []
    return "\n\n".join(parts)


def show_file(facts: dict[str, Any]) -> str:
    """Return the result of `explain_file` as text."""
    why = f": {facts['reason']}, {printable(facts['detail'])}" if facts["reason"] else ""
    lines = [title(facts), f"{printable(facts['file'])}: {STATES[facts['state']]}{why}"]
    if facts["same_name"]:
        lines += ["files with the same name:", *(f"  {printable(path)}" for path in facts["same_name"])]
    return "\n".join(lines)
