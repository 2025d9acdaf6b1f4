"""`cosplace completion`: code that completes commands, flags, their choices and paths in a shell."""

import argparse
from pathlib import Path

import shtab

from cosplace.commands import TASKS
from cosplace.parser import METAVARS, parser_of_all

PATHS = (METAVARS[Path], "FILE", "FOLDER", "PHOTOS_FOLDER", "IMAGES", "ARTIFACT", "PHOTO", "MODEL")  # metavars


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `cosplace completion`."""
    parser.add_argument(
        "shell", choices=shtab.SUPPORTED_SHELLS, metavar="SHELL", help=", ".join(shtab.SUPPORTED_SHELLS)
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the completion code of a shell."""
    parser = parser_of_all()
    for name, command in parser.commands().items():
        _add_values(command, name)
    print(shtab.complete(parser, options.shell))


def _add_values(parser: argparse.ArgumentParser, name: str) -> None:
    """Let shtab complete the paths and the choices that the arguments of a command take."""
    import workflows  # noqa: F401 -- registers the tasks
    from luigi_tasks.parameters import parameters_of
    from training.network.backbones import BACKBONES

    parameters = parameters_of(TASKS[name]) if name in TASKS else {}
    for action in parser._actions:
        if action.metavar in PATHS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.dest == "backbone":
            action.choices = tuple(BACKBONES)
        elif action.dest in parameters:
            parameter = parameters[action.dest]
            action.choices = (
                ("true", "false") if parameter.type is bool else parameter.field.metadata["choices"] or None
            )
