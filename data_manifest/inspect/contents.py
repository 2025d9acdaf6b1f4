"""List the current tables and all artifacts of an artifacts folder, and what garbage collection removes."""

from pathlib import Path
from typing import Any

from data_manifest.inspect.bars import table
from data_manifest.store.files import format_bytes
from data_manifest.store.find import list_artifacts, list_current
from data_manifest.tables import table_glob


def current_tables(artifacts: Path) -> list[dict[str, str]]:
    """Return stage, name, table and path (a glob of Parquet files) of each current table.

    Paths do not go through `current`, so that a reader sees one artifact even if a newer one is published.
    """
    return [
        {**_identity(artifact), "table": name, "path": table_glob(artifact.absolute(), name)}
        for artifact in list_current(artifacts)
        for name in sorted({file.parent.name for file in artifact.glob("*/*.parquet")})
    ]


def all_artifacts(artifacts: Path) -> list[dict[str, str]]:
    """Return stage, name, digest, `current` or an empty string, and folder of each published artifact."""
    current = set(list_current(artifacts))
    rows = [(each, "current" if each in current else "") for each in list_artifacts(artifacts)]
    return [{**_identity(each), "digest": each.name, "current": mark, "path": str(each)} for each, mark in rows]


def _identity(artifact: Path) -> dict[str, str]:
    return {"stage": artifact.parent.parent.name, "name": artifact.parent.name}


def as_text(rows: list[dict[str, str]]) -> str:
    """Return rows as aligned columns."""
    if not rows:
        return "no artifacts"
    widths = {key: max(len(row[key]) for row in rows) for key in rows[0]}
    return "\n".join("  ".join(row[key].ljust(width) for key, width in widths.items()).rstrip() for row in rows)


def show_garbage(report: dict[str, Any]) -> str:
    """Return the report of `collect_garbage` as text."""
    dry_run, removed = report["dry_run"], report["removed"]
    header = ("would be removed" if dry_run else "removed", "", "size", "frees" if dry_run else "freed")
    rows = [(each["what"], each["path"], format_bytes(each["bytes"]), format_bytes(each["freed"])) for each in removed]
    count = len(report["kept"])
    kept = f"{count:,} artifact{'s' if count != 1 else ''} kept"
    freed = f"{format_bytes(report['freed'])} {'would be freed' if dry_run else 'freed'}, {kept}"
    lines = [*table([header, *rows], left=(0, 1)), freed] if removed else [f"nothing to remove, {kept}"]
    return "\n".join([*lines, *report["notes"]])
