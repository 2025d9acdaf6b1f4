"""`cosplace methods`: the table of methods of others."""

import argparse
from typing import Any

from data_manifest.command_line.command_parser import add_run
from data_manifest.inspect.bars import table
from methods.named_methods import NAMED_METHODS, NamedMethod

TITLES = ("method", "dimensions", "images", "licence", "repository", "paper")


def add_methods(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `cosplace methods`."""
    add_run(parser, lambda _: (facts(), as_text()))


def facts() -> list[dict[str, Any]]:
    """Return a row of JSON types per method."""
    return [
        {
            **{"method": name, "dimensions": row.dimensions, "image_size": row.image_size and row.image_size.plain},
            **{"multiple_of": row.multiple_of, "interpolation": row.interpolation, "licence": row.licence},
            **{"repository": row.repository, "entry": row.entry, "arguments": dict(row.arguments), "paper": row.paper},
        }
        for name, row in NAMED_METHODS.items()
    ]


def as_text() -> str:
    """Return the table of methods."""
    rows = [
        (name, str(row.dimensions), images_of(row), row.licence, row.repository, row.paper)
        for name, row in NAMED_METHODS.items()
    ]
    return "\n".join(table([TITLES, *rows], left=range(len(TITLES))))


def images_of(row: NamedMethod) -> str:
    """Return in words which images a method takes."""
    size = "own size" if row.image_size is None else f"{row.image_size.height} x {row.image_size.width}"
    return size if row.multiple_of == 1 else f"{size}, multiple of {row.multiple_of}"
