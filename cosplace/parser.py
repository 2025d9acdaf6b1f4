"""The argument parsers of `cosplace`, one per command, generated from the settings classes."""

import argparse
import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cosplace.commands import COMMANDS, OPTIONAL, TaskCommand
from data_manifest.command_line.command_parser import CommandParser, at_least_one
from data_manifest.images.images_folder import ImagesUrl
from data_manifest.settings import flag_of

MAX_WIDTH = 100  # characters
METAVARS: dict[Any, str] = {int: "N", float: "X", bool: "true|false", Path: "PATH", ImagesUrl: "PATH"}  # others: TEXT
HELP_ALL, CONFIG, WORKERS = "--help-all", "--config", "--workers"
POSITIONALS = {  # help of arguments that mean more or less than the parameter does
    ("embed", "photos_folder"): "folder of images, whose positions --source reads",
    ("report", "model"): (
        "evaluation or comparison (artifacts/evaluation/<data set>); or a model, which is evaluated first: a training "
        "folder, weights file, or official name"
    ),
}


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Formats help for the width of the terminal, up to `MAX_WIDTH`."""

    def __init__(self, prog: str, **_: Any) -> None:
        super().__init__(prog, max_help_position=28, width=min(shutil.get_terminal_size().columns, MAX_WIDTH))


def overview() -> str:
    """Return the list of commands that `cosplace` without arguments shows."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.help}" for name, command in COMMANDS.items()]
    first = "Train and use CosPlace models, which find where a photo was taken.\n\nCommands, in the order of use:\n"
    return "\n".join(["usage: cosplace COMMAND ...\n", first, *lines, "\ncosplace COMMAND --help explains a command."])


def command_names() -> list[str]:
    """Return the names of the commands, in the order of use."""
    return list(COMMANDS)


def help_of(name: str) -> str:
    """Return the help of a command with all its flags."""
    return parser_of(name, show_all=True).format_help()


def parser_of(name: str, show_all: bool = False) -> CommandParser:
    """Return the parser of a command, whose help shows the everyday flags, or all."""
    return _fill(CommandParser(**_texts(name)), name, show_all)


def parser_of_all() -> CommandParser:
    """Return one parser with every command as a subcommand, as shell completion needs it."""
    parser = CommandParser(prog="cosplace")
    commands = parser.add_subparsers(dest="command")
    for name, command in COMMANDS.items():
        _fill(commands.add_parser(name, help=command.help, **_texts(name)), name, show_all=True)
    return parser


def _texts(name: str) -> dict[str, Any]:
    """Return program name, description and examples of a command."""
    command = COMMANDS[name]
    examples = "\n".join(f"  cosplace {name} {example}".rstrip() for example in command.examples)
    description = f"{command.help[0].upper()}{command.help[1:]}."
    return {
        **{"prog": f"cosplace {name}", "description": description, "epilog": f"examples:\n{examples}"},
        **{"formatter_class": HelpFormatter, "add_help": False},
    }


def _fill(parser: CommandParser, name: str, show_all: bool) -> CommandParser:
    """Add the flags of a command to its parser."""
    command = COMMANDS[name]
    own = parser.add_argument_group("General")
    own.add_argument("-h", "--help", action="help", help="show this help")
    if isinstance(command, TaskCommand):
        num_hidden = _add_parameters(parser, name, command, show_all)
        more = f"show {num_hidden + 1} more flags" if num_hidden else argparse.SUPPRESS  # the others and --workers
        own.add_argument(HELP_ALL, action="store_true", help=more)
        own.add_argument(CONFIG, metavar="FILE", help="configuration file, as `cosplace config` writes it")
        text = "tasks to run at the same time [1]" if show_all else argparse.SUPPRESS
        own.add_argument(WORKERS, type=at_least_one, metavar="N", help=text)
        parser.usage = " ".join([parser.prog, *map(_usage_of, command.positionals), "[--FLAG VALUE ...]"])
    else:
        add_flags: Callable[[CommandParser], None] = getattr(importlib.import_module(command.module), f"add_{name}")
        add_flags(parser)
    return parser


def _add_parameters(parser: CommandParser, command_name: str, command: TaskCommand, show_all: bool) -> int:
    """Add the parameters of a task in groups by their titles; return how many of them stay hidden."""
    import workflows  # noqa: F401 -- registers the tasks
    from luigi_tasks.parameters import parameters_of

    groups: dict[str, argparse._ArgumentGroup] = {}
    num_hidden = 0
    parameters = parameters_of(command.task)
    for name, parameter in parameters.items():
        is_hidden = not show_all and name not in command.everyday
        num_hidden += is_hidden
        title = parameter.title
        groups[title] = groups.get(title) or parser.add_argument_group(title)
        groups[title].add_argument(
            flag_of(name),
            default=argparse.SUPPRESS,
            metavar=METAVARS.get(parameter.type, "TEXT"),
            help=argparse.SUPPRESS if is_hidden else parameter.description if show_all else parameter.short_description,
            **parameter.flag_options,
        )
    for word in command.positionals:
        name = word.rstrip(OPTIONAL)
        count = "?" if word.endswith(OPTIONAL) else None
        usual = parameters[name].description if show_all else parameters[name].short_description
        text = POSITIONALS.get((command_name, name), usual)
        parser.add_argument(name, nargs=count, default=argparse.SUPPRESS, metavar=name.upper(), help=text)
    return num_hidden


def _usage_of(positional: str) -> str:
    name = positional.rstrip(OPTIONAL).upper()
    return f"[{name}]" if positional.endswith(OPTIONAL) else name
