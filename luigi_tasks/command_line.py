"""Messages for mistyped words on the command line: the nearest task or parameter of this pipeline."""

import argparse
import re
import sys
from collections.abc import Collection
from typing import Any, NoReturn

from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

from luigi_tasks.configuration import nearest, task_names

_build_parser = CmdlineParser._build_parser
SUGGESTIONS = 3


def explain_mistyped_words() -> None:
    """Have Luigi suggest tasks of this pipeline only, and name the nearest parameter instead of listing all."""
    Register._missing_task_msg = staticmethod(missing_task)  # type: ignore[method-assign]
    CmdlineParser._build_parser = staticmethod(build_parser)  # type: ignore[method-assign,assignment]


def missing_task(name: str) -> str:
    """Return the message for a task that does not exist."""
    closest = suggestions(name, task_names())
    advice = f"Closest: {', '.join(closest)}." if closest else f"Tasks: {', '.join(task_names())}."
    return f"No task {name}. {advice}"


def build_parser(root_task: str | None = None, **more: Any) -> argparse.ArgumentParser:
    """Return Luigi's parser of a command line, with a short message for a mistake."""
    parser: argparse.ArgumentParser = _build_parser(root_task, **more)

    def error(message: str) -> NoReturn:
        print(f"ERROR: {mistake_of(message, root_task, parser)}", file=sys.stderr)
        sys.exit(2)

    parser.error = error  # type: ignore[method-assign]
    return parser


def mistake_of(message: str, task: str | None, parser: argparse.ArgumentParser) -> str:
    """Return what to show for argparse's message about the parameters of a task."""
    command = f"luigi --module workflows {task or 'TASK'} --help"
    unknown = re.search(r"^unrecognized arguments: .*?(--[^\s=]+)", message)
    if unknown is None:
        return f"{message}. Run {command} for the parameters."
    prefixes = tuple(f"--{name}-" for name in Register.task_names())
    own = [option for option in parser._option_string_actions if not option.startswith(prefixes)]
    closest = suggestions(unknown[1], own)
    advice = f"Closest: {', '.join(closest)}." if closest else f"Run {command} for the parameters."
    others = [name for name in task_names() if takes_option(name, unknown[1])]
    return f"{task} has no parameter {unknown[1]}. " + (f"It belongs to {', '.join(others)}." if others else advice)


def takes_option(task: str, option: str) -> bool:
    """Return whether a task has a parameter, given as on the command line."""
    return "_" not in option and option[2:].replace("-", "_") in dict(Register.get_task_cls(task).get_params())


def suggestions(word: str, known: Collection[str]) -> list[str]:
    """Return the known words that begin with a word, and those like it, the nearest first."""
    longer = sorted((each for each in known if each.lower().startswith(word.lower())), key=len)
    return list(dict.fromkeys([*longer, *nearest(word, known)]))[:SUGGESTIONS]
