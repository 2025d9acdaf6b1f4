"""The command line: `cosplace train --dataset-folder sf-xl/processed`."""

import argparse
import configparser
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from cosplace.commands import COMMANDS, TaskCommand
from cosplace.parser import CONFIG, HELP_ALL, overview, parser_of
from cosplace.published_flags import translate
from data_manifest.command_line.closest import closest_or
from data_manifest.command_line.command_parser import CommandParser
from data_manifest.console import exit_status_of
from data_manifest.errors import UserError

CONFIG_PATH = "LUIGI_CONFIG_PATH"


def main() -> int:
    """Run the command of the command line and return its exit status."""
    return exit_status_of(lambda: _explain_broken_files(sys.argv[1:]))


def _explain_broken_files(words: Sequence[str]) -> int:
    """Run a command line; raise UserError for broken configuration files, which Luigi reads when it is imported."""
    try:
        return run(words)
    except configparser.MissingSectionHeaderError as error:
        place = f"{error.source}, line {error.lineno}: {error.line.strip()}"
        raise UserError(f"{place}: no section above this line. Begin the file with [cosplace].") from error
    except configparser.ParsingError as error:
        number = error.errors[0][0]
        raise UserError(f"{error.source}, line {number}: expected NAME = VALUE or [SECTION].") from error
    except (configparser.DuplicateOptionError, configparser.DuplicateSectionError) as error:
        what = f"[{error.section}] {getattr(error, 'option', '')}".rstrip()
        raise UserError(f"{error.source}, line {error.lineno}: {what} is there twice. Keep one.") from error


def run(words: Sequence[str]) -> int:
    """Run a command line and return the exit status.

    Raises:
        UserError: A word or a value is wrong.
    """
    name, *arguments = words or ["help"]
    if name == "help" and arguments:
        name, arguments = arguments[0], ["--help"]
    if name in ("-h", "--help", "help"):
        print(overview())
        return 0
    if name == "--version":
        print(version("cosplace-pipeline"))
        return 0
    if name not in COMMANDS:
        advice = closest_or(name, COMMANDS, "Run cosplace to list the commands.")
        raise UserError(f"cosplace has no command {name}. {advice}")
    return _run_command(name, translate(arguments))


def _run_command(name: str, words: list[str]) -> int:
    command = COMMANDS[name]
    if not isinstance(command, TaskCommand):
        options = parser_of(name).parse_args(words)
        return int(options.run(options) or 0)
    early = _early_options(name, words)
    if early.config is not None:
        if not Path(early.config).is_file():
            raise UserError(f"{CONFIG} {early.config}: no such file. Write one with cosplace config {early.config}")
        os.environ[CONFIG_PATH] = early.config  # Luigi reads it while it is imported
    parser = parser_of(name, show_all=early.help_all)
    if early.help_all:
        parser.print_help()
        return 0
    values = vars(parser.parse_args(words))
    config, workers = values.pop("config"), values.pop("workers")
    del values["help_all"]
    from cosplace.run_task import run_task

    return run_task(command.task, name, values, config, workers)


def _early_options(name: str, words: list[str]) -> argparse.Namespace:
    """Return the options of a command that decide how the others are parsed."""
    parser = CommandParser(prog=f"cosplace {name}", add_help=False)
    parser.add_argument(CONFIG)
    parser.add_argument(HELP_ALL, action="store_true")
    early: argparse.Namespace = parser.parse_known_args(words)[0]
    return early


if __name__ == "__main__":
    sys.exit(main())
