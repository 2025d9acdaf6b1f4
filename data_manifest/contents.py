"""What an artefacts folder holds: the current tables, and all artefacts."""

from pathlib import Path

from data_manifest.artefacts import list_artefacts, list_current, read_recipe
from data_manifest.tables import table_glob


def current_tables(artifacts: Path) -> list[dict[str, str]]:
    """Return stage, name, table and path, as a glob of Parquet files, of each table that is current.

    The paths lead into the artefacts themselves, not through `current`: what a reader opens stays consistent
    when a newer artefact is published meanwhile.
    """
    rows = []
    for artefact in list_current(artifacts):
        recipe = read_recipe(artefact)
        for table in sorted({file.parent.name for file in artefact.glob("*/*.parquet")}):
            rows.append(
                {
                    "stage": recipe["stage"],
                    "name": recipe["name"],
                    "table": table,
                    "path": table_glob(artefact.absolute(), table),
                }
            )
    return rows


def all_artefacts(artifacts: Path) -> list[dict[str, str]]:
    """Return stage, name, digest, whether it is current, and folder of each published artefact."""
    current = set(list_current(artifacts))
    return [
        {
            "stage": artefact.parent.parent.name,
            "name": artefact.parent.name,
            "digest": artefact.name,
            "current": "current" if artefact in current else "",
            "path": str(artefact),
        }
        for artefact in list_artefacts(artifacts)
    ]


def as_text(rows: list[dict[str, str]]) -> str:
    """Return rows as aligned columns."""
    if not rows:
        return "no artefacts"
    widths = {key: max(len(row[key]) for row in rows) for key in rows[0]}
    return "\n".join("  ".join(row[key].ljust(width) for key, width in widths.items()).rstrip() for row in rows)
