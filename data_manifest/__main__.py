"""Inspect an artifacts folder: `python -m data_manifest summary artifacts/manifest/my-images`."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from data_manifest.command_line.command_parser import CommandParser, add_run
from data_manifest.console import exit_status_of
from data_manifest.errors import UserError
from data_manifest.inspect import classes, contents, rejects, summary
from data_manifest.inspect.artifact import describe, show
from data_manifest.inspect.bars import glyphs_for
from data_manifest.store import garbage
from data_manifest.store.find import find_artifact, read_recipe_of
from data_manifest.store.references import CHECK_STAGES, MANIFEST_STAGES

Result = tuple[Any, str]  # for JSON and as text


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = CommandParser(prog="python -m data_manifest", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (add_flags, help_text) in COMMANDS.items():
        add_flags(commands.add_parser(name, help=help_text, description=f"{help_text[0].upper()}{help_text[1:]}."))
    options = parser.parse_args(arguments)
    options.run(options)


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `paths`."""
    _add_artifacts_folder(parser)
    add_run(parser, partial(_list_rows, contents.current_tables))


def add_list(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `list`."""
    _add_artifacts_folder(parser)
    add_run(parser, partial(_list_rows, contents.all_artifacts))


def add_show(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `summary`, which is `cosplace show`."""
    keys = str(summary.__doc__).partition("JSON keys:")[2]
    text = "Summarize an artifact: images and rejects, groups and classes, bad images, or settings."
    _add_artifact(parser, f"{text}\n\nOf a manifest, JSON keys:{keys}")
    add_run(parser, _summary)


def add_rejects(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `rejects`."""
    _add_artifact(parser, rejects.__doc__)
    parser.add_argument("--reason", help="show only this reason")
    text = "show why this file is rejected, or that it is used"
    parser.add_argument("--path", dest="file", metavar="FILE", help=text)
    text = "files to show per reason [%(default)s]"
    parser.add_argument("--limit", type=int, default=rejects.MAX_EXAMPLES, metavar="N", help=text)
    add_run(parser, _rejects)


def add_classes(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `classes`."""
    _add_artifact(parser, classes.__doc__)
    add_run(parser, _classes)


def add_gc(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `gc`."""
    parser.description = garbage.__doc__
    _add_artifacts_folder(parser)
    parser.add_argument("--dry-run", action="store_true", help="only show what would be removed")
    text = "keep at least the N newest artifacts of each stage and data set [%(default)s]"
    parser.add_argument("--keep-newest", type=int, default=0, metavar="N", help=text)
    text = "stages to clean up, separated by commas; models and packs only if named here [%(default)s]"
    parser.add_argument("--stages", default=",".join(garbage.DEFAULT_STAGES), metavar="STAGES", help=text)
    add_run(parser, _gc)


COMMANDS = {
    "paths": (add_paths, "list the current tables, each as a glob of Parquet files"),
    "list": (add_list, "list all artifacts, including old ones"),
    "summary": (add_show, "summarize an artifact: images, rejects and their reasons, classes; settings of others"),
    "rejects": (add_rejects, "show which files are rejected, and why"),
    "classes": (add_classes, "count classes and images per group"),
    "gc": (add_gc, "remove old artifacts that nothing needs"),
}


def _add_artifact(parser: argparse.ArgumentParser, description: str | None) -> None:
    parser.description, parser.formatter_class = description, argparse.RawDescriptionHelpFormatter
    text = "an artifact, as in artifacts/manifest/<data set>"
    parser.add_argument("path", type=Path, metavar="ARTIFACT", help=text)


def _add_artifacts_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--artifacts-folder",
        type=Path,
        default=Path("artifacts"),
        metavar="PATH",
        help="folder of all results [%(default)s]",
    )


def _list_rows(find: Callable[[Path], list[dict[str, str]]], options: argparse.Namespace) -> Result:
    rows = find(_artifacts(options))
    return rows, contents.as_text(rows)


def _summary(options: argparse.Namespace) -> Result:
    artifact = find_artifact(options.path)
    recipe = read_recipe_of(artifact, "summary")
    if recipe["stage"] == classes.STAGE:
        return _classes(options)
    if recipe["stage"] in MANIFEST_STAGES:
        facts = summary.summarise(artifact)
        return facts, summary.show_summary(facts, _glyphs())
    if recipe["stage"] in CHECK_STAGES:
        facts = rejects.list_rejects(artifact, limit=0)
        return facts, f"{facts['made']}\n{rejects.show_rejects(facts, _glyphs())}"
    facts = describe(artifact, recipe)
    return facts, show(facts)


def _rejects(options: argparse.Namespace) -> Result:
    artifact = find_artifact(options.path)
    if options.file is not None:
        facts = rejects.explain_file(artifact, options.file)
        return facts, rejects.show_file(facts)
    facts = rejects.list_rejects(artifact, options.reason, options.limit)
    return facts, rejects.show_rejects(facts, _glyphs())


def _classes(options: argparse.Namespace) -> Result:
    facts = classes.count_classes(find_artifact(options.path))
    return facts, classes.show_classes(facts, _glyphs())


def _gc(options: argparse.Namespace) -> Result:
    stages = tuple(stage.strip() for stage in options.stages.split(","))
    facts = garbage.collect_garbage(_artifacts(options), stages, options.keep_newest, options.dry_run)
    return facts, contents.show_garbage(facts)


def _artifacts(options: argparse.Namespace) -> Path:
    folder: Path = options.artifacts_folder
    if not folder.is_dir():
        raise UserError(f"--artifacts-folder {folder}: no such folder")
    return folder


def _glyphs() -> str:
    return glyphs_for(sys.stdout.encoding)


if __name__ == "__main__":
    sys.exit(exit_status_of(main))
