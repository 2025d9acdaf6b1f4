"""Sphinx extension: fills `<!-- generated: NAME -->` in a page with text made from the code."""

import os
from collections.abc import Callable

import pyarrow as pa
from sphinx.application import Sphinx

HELP_WIDTH = 100  # columns


def tables() -> str:
    """Return the columns of every table, one section per table."""
    from data_manifest import schemas

    found = {name.lower(): value for name, value in vars(schemas).items() if isinstance(value, pa.Schema)}
    return "\n\n".join(f"### `{name}`\n\n{_columns(schema)}" for name, schema in found.items())


def commands() -> str:
    """Return the help of every command, one section per command."""
    os.environ["COLUMNS"] = str(HELP_WIDTH)
    from cosplace.parser import command_names, help_of

    return "\n\n".join(f"## {name}\n\n```text\n{help_of(name).rstrip()}\n```" for name in command_names())


def backbones() -> str:
    """Return a table of the backbones with their feature dimension and official weights."""
    from training.network.backbones import BACKBONES, OFFICIAL_DIMS

    lines = ["| backbone | feature dimension | official weights, by descriptor dimension |", "|---|---|---|"]
    for name, backbone in BACKBONES.items():
        official = ", ".join(map(str, OFFICIAL_DIMS.get(name, ())))
        lines.append(f"| {name} | {backbone.channels:,} | {official} |")
    return "\n".join(lines)


def methods() -> str:
    """Return a table of the named methods of others."""
    from methods.list_methods import images_of
    from methods.named_methods import NAMED_METHODS

    lines = ["| method | repository | dimensions | images | licence | published recalls |", "|---|---|---|---|---|---|"]
    for name, row in NAMED_METHODS.items():
        repository = f"[{row.repository}](https://github.com/{row.repository})"
        facts = f"{row.dimensions:,} | {images_of(row)} | {row.licence} | [paper]({row.paper})"
        lines.append(f"| {name} | {repository} | {facts} |")
    return "\n".join(lines)


GENERATORS: dict[str, Callable[[], str]] = {
    **{"tables": tables, "commands": commands, "backbones": backbones, "methods": methods}
}


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace each marker in the text of a page."""
    for name, generate in GENERATORS.items():
        marker = f"<!-- generated: {name} -->"
        if marker in source[0]:
            source[0] = source[0].replace(marker, generate())


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True}


def _columns(schema: pa.Schema) -> str:
    lines = ["| column | type | null | meaning |", "|---|---|---|---|"]
    for field in schema:
        kind = "text" if pa.types.is_dictionary(field.type) else str(field.type)
        meaning = field.metadata[b"description"].decode().replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| `{field.name}` | {kind} | {'yes' if field.nullable else ''} | {meaning} |")
    return "\n".join(lines)
