"""Inspect an artifacts folder: `python -m data_manifest summary artifacts/manifest/my-images`."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_manifest.console import escape_unprintable
from data_manifest.errors import UserError
from data_manifest.inspect import classes, contents, rejects, summary
from data_manifest.inspect.bars import glyphs_for
from data_manifest.store import garbage
from data_manifest.store.find import find_artifact, read_recipe_of
from data_manifest.store.references import CHECK_STAGES, MANIFEST_STAGES

Result = tuple[Any, str]  # for JSON and as text


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    facts, text = options.run(options)
    print(json.dumps(facts, indent=2) if options.format == "json" else text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m data_manifest", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], Result], help_text: str, more: str | None = None) -> Any:
        description = f"{help_text}\n\n{more}" if more else help_text
        formatter = argparse.RawDescriptionHelpFormatter
        command = commands.add_parser(name, help=help_text, description=description, formatter_class=formatter)
        command.set_defaults(run=run)
        command.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
        return command

    paths = add("paths", _contents, "list the current tables, each as a glob of Parquet files")
    listing = add("list", _contents, "list all artifacts, including old ones")
    text = "count images and rejects by reason, year, zone and heading; results of checks and crops"
    look = add("summary", _summary, text, summary.__doc__)
    why = add("rejects", _rejects, "show which files are rejected, and why", rejects.__doc__)
    sizes = add("classes", _classes, "count classes and images per group", classes.__doc__)
    collect = add("gc", _gc, "remove old artifacts that nothing needs", garbage.__doc__)
    for command in (paths, listing, collect):
        command.add_argument("--artifacts-folder", type=Path, default=Path("artifacts"), help="default: artifacts")
    for command in (look, why, sizes):
        command.add_argument("path", type=Path, help="an artifact, as in artifacts/manifest/<data set>/current")
    why.add_argument("--reason", help="show only this reason")
    why.add_argument("--path", dest="file", metavar="FILE", help="show why this file is rejected, or that it is used")
    text = "files to show per reason (default: %(default)s)"
    why.add_argument("--limit", type=int, default=rejects.MAX_EXAMPLES, metavar="N", help=text)
    collect.add_argument("--dry-run", action="store_true", help="only show what would be removed")
    text = "keep at least the N newest artifacts of each stage and data set (default: %(default)s)"
    collect.add_argument("--keep-newest", type=int, default=0, metavar="N", help=text)
    text = "stages to clean up (default: %(default)s; models must be asked for)"
    collect.add_argument("--stages", default=",".join(garbage.DEFAULT_STAGES), help=text)
    return parser


def _contents(options: argparse.Namespace) -> Result:
    find = contents.current_tables if options.command == "paths" else contents.all_artifacts
    rows = find(_artifacts(options))
    return rows, contents.as_text(rows)


def _summary(options: argparse.Namespace) -> Result:
    artifact = find_artifact(options.path)
    stage = read_recipe_of(artifact, "summary", (*MANIFEST_STAGES, *CHECK_STAGES, classes.STAGE))["stage"]
    if stage == classes.STAGE:
        return _classes(options)
    if stage in CHECK_STAGES:
        facts = rejects.list_rejects(artifact, limit=0)
        return facts, f"{facts['made']}\n{rejects.show_rejects(facts, _glyphs())}"
    facts = summary.summarise(artifact)
    return facts, summary.show_summary(facts, _glyphs())


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
        raise UserError(f"--artifacts-folder {folder}: there is no such folder")
    return folder


def _glyphs() -> str:
    return glyphs_for(sys.stdout.encoding)


if __name__ == "__main__":
    escape_unprintable()
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:  # as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's flush at exit
