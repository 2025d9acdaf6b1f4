"""Look inside an artefacts folder: `python -m data_manifest paths --artifacts-folder artifacts --format json`."""

import argparse
import json
import sys
from pathlib import Path

from data_manifest.artefacts import list_artefacts, list_current, read_recipe
from data_manifest.errors import UserError
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
    widths = {key: max(len(row[key]) for row in rows) for key in rows[0]} if rows else {}
    return "\n".join("  ".join(row[key].ljust(width) for key, width in widths.items()).rstrip() for row in rows)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m data_manifest", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listings = {"paths": current_tables, "list": all_artefacts}
    helps = {"paths": "the current tables, each as a glob of Parquet files", "list": "all artefacts, old ones too"}
    for name, help_text in helps.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        command.add_argument("--artifacts-folder", type=Path, default=Path("artifacts"), help="default: artifacts")
        command.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    options = parser.parse_args(arguments)
    if not options.artifacts_folder.is_dir():
        raise UserError(f"--artifacts-folder {options.artifacts_folder}: there is no such folder")
    rows = listings[options.command](options.artifacts_folder)
    print(json.dumps(rows, indent=2) if options.format == "json" else as_text(rows) or "no artefacts")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
