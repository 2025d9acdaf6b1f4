"""List the current tables and all artifacts of an artifacts folder."""

from pathlib import Path

from data_manifest.store.find import list_artifacts, list_current
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import table_glob


def current_tables(artifacts: Path) -> list[dict[str, str]]:
    """Return stage, name, table and path (a glob of Parquet files) of each current table.

    Paths do not go through `current`, so that a reader sees one artifact even if a newer one is published.
    """
    rows = []
    for artifact in list_current(artifacts):
        recipe = read_recipe(artifact)
        for table in sorted({file.parent.name for file in artifact.glob("*/*.parquet")}):
            rows.append(
                {
                    "stage": recipe["stage"],
                    "name": recipe["name"],
                    "table": table,
                    "path": table_glob(artifact.absolute(), table),
                }
            )
    return rows


def all_artifacts(artifacts: Path) -> list[dict[str, str]]:
    """Return stage, name, digest, `current` or an empty string, and folder of each published artifact."""
    current = set(list_current(artifacts))
    return [
        {
            "stage": artifact.parent.parent.name,
            "name": artifact.parent.name,
            "digest": artifact.name,
            "current": "current" if artifact in current else "",
            "path": str(artifact),
        }
        for artifact in list_artifacts(artifacts)
    ]


def as_text(rows: list[dict[str, str]]) -> str:
    """Return rows as aligned columns."""
    if not rows:
        return "no artifacts"
    widths = {key: max(len(row[key]) for row in rows) for key in rows[0]}
    return "\n".join("  ".join(row[key].ljust(width) for key, width in widths.items()).rstrip() for row in rows)
