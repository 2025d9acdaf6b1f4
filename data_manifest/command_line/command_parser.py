"""An argument parser with one-line errors, in which `--fc_output_dim` and `--fc-output-dim` are the same flag."""

import argparse
import contextlib
import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from data_manifest.command_line.closest import closest_or
from data_manifest.images.images_folder import ImagesFolder, as_images_folder


class CommandParser(argparse.ArgumentParser):
    """Parses a command line. Errors name the closest flag or command; abbreviated flags are errors."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse arguments, with hyphens for underscores in flags."""
        words = list(sys.argv[1:] if args is None else args)
        end = words.index("--") if "--" in words else len(words)
        return super().parse_known_args([*map(with_hyphens, words[:end]), *words[end:]], namespace)

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with status 2."""
        self.exit(2, f"ERROR: {self.explain(message)}\n")

    def explain(self, message: str) -> str:
        """Return the message to show in place of argparse's."""
        advice = f"Run {self.prog} --help."
        if unknown := re.search(r"^unrecognized arguments: (?:.*? )?(--[^\s=]+)", message):
            return f"{self.prog} has no flag {unknown[1]}. {closest_or(unknown[1], self.flags(), advice)}"
        if unknown := re.search(r"^argument command: invalid choice: '(.*?)'", message):
            return f"{self.prog} has no command {unknown[1]}. {closest_or(unknown[1], self.commands(), advice)}"
        return f"{message}. {advice}"

    def flags(self) -> list[str]:
        """Return the flags of the command."""
        parsers = [self, *self.commands().values()]
        return [flag for parser in parsers for flag in parser._option_string_actions if flag.startswith("--")]

    def commands(self) -> dict[str, argparse.ArgumentParser]:
        """Return the parsers of the subcommands by name."""
        actions = self._subparsers._group_actions if self._subparsers else ()
        return {name: parser for action in actions for name, parser in dict(action.choices or {}).items()}


def add_run(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], tuple[Any, str]]) -> None:
    """Add `--format`, and print what a function returns in this format: JSON types, and the same as text."""

    def show(options: argparse.Namespace) -> None:
        facts, text = run(options)
        print(json.dumps(facts, indent=2) if options.format == "json" else text)

    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format [%(default)s]")
    parser.set_defaults(run=show)


def at_least_one(text: str) -> int:
    """Return a whole number of at least 1; for the `type` of an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least 1")
    return int(text)


def share(text: str) -> float:
    """Return a number from 0 to 1; for the `type` of an argument."""
    with contextlib.suppress(ValueError):
        if 0 <= (value := float(text)) <= 1:
            return value
    raise argparse.ArgumentTypeError(f"{text}: expected a number from 0 to 1, as in 0.9")


def folder_or_url(text: str) -> ImagesFolder:
    """Return a path or a URL of images; for the `type` of an argument."""
    try:
        return as_images_folder(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error) or "expected a path or a URL") from error


def with_hyphens(word: str) -> str:
    """Return a flag with hyphens for underscores; other words as they are."""
    flag, equals, value = word.partition("=")
    return flag.replace("_", "-") + equals + value if flag.startswith("--") else word
