"""Luigi's command line: help that shows each parameter once, and short messages for mistyped words."""

import argparse
import functools
import re
import sys
from typing import Any, NoReturn

from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

from data_manifest.command_line.closest import closest_or

_build_parser = CmdlineParser._build_parser


def improve_command_line() -> None:
    """Replace Luigi's help of a task, and its messages for an unknown task and an unknown parameter."""
    Register._missing_task_msg = staticmethod(_missing_task)  # type: ignore[method-assign]
    CmdlineParser._build_parser = staticmethod(_improved_parser)  # type: ignore[method-assign,assignment]


def task_names() -> list[str]:
    """Return the names of this pipeline's tasks."""
    return [name for name in Register.task_names() if getattr(Register.get_task_cls(name), "kinds", ())]


def _missing_task(name: str) -> str:
    names = task_names()
    advice = closest_or(name, names, "Tasks: " + ", ".join(names) + ".")
    return f"No task {name}. {advice}"


def _improved_parser(root_task: str | None = None, **more: Any) -> argparse.ArgumentParser:
    """Return a parser; Luigi asks for the same ones several times per command."""
    return _parser_for(tuple(Register.task_names()), root_task, **more)


@functools.cache
def _parser_for(tasks: tuple[str, ...], root_task: str | None, **more: Any) -> argparse.ArgumentParser:
    """Return the parser of a task, or of any task, while these tasks are registered."""
    parser: argparse.ArgumentParser = _build_parser(root_task, **more)

    def error(message: str) -> NoReturn:
        print(f"ERROR: {_explain(message, root_task or 'TASK', parser)}", file=sys.stderr)
        sys.exit(2)

    parser.error = error  # type: ignore[method-assign]
    if root_task in task_names():
        _arrange_help(parser, root_task)
    return parser


def _arrange_help(parser: argparse.ArgumentParser, task: str) -> None:
    """Describe the task, show each of its parameters once, and group them by the titles of their settings classes."""
    kind = Register.get_task_cls(task)
    parser.description = kind.__doc__
    parser.usage = f"luigi --module workflows {task} [--PARAMETER VALUE ...]"
    options = parser._optionals
    options.title = "Luigi"
    parser._positionals._group_actions.clear()  # the name of the task, which the usage shows
    groups: dict[str, argparse._ArgumentGroup] = {}
    for name, parameter in kind.get_params():
        flag = name.replace("_", "-")
        parser._option_string_actions[f"--{task}-{flag}"].help = argparse.SUPPRESS
        action, title = parser._option_string_actions[f"--{flag}"], parameter.title
        options._group_actions.remove(action)
        groups[title] = groups.get(title) or parser.add_argument_group(title)
        groups[title]._group_actions.append(action)


def _explain(message: str, task: str, parser: argparse.ArgumentParser) -> str:
    """Return the message to show in place of argparse's."""
    advice = f"Run luigi --module workflows {task} --help for the parameters."
    unknown = re.search(r"^unrecognized arguments: .*?(--[^\s=]+)", message)
    if unknown is None:
        return f"{message}. {advice}"
    others = tuple(f"--{name}-" for name in Register.task_names())
    own = [option for option in parser._option_string_actions if not option.startswith(others)]
    if owners := [name for name in task_names() if _takes_option(name, unknown[1])]:
        advice = f"It belongs to {', '.join(owners)}."
    else:
        advice = closest_or(unknown[1], own, advice)
    return f"{task} has no parameter {unknown[1]}. {advice}"


def _takes_option(task: str, option: str) -> bool:
    return "_" not in option and option[2:].replace("-", "_") in dict(Register.get_task_cls(task).get_params())
