"""Short messages for mistyped tasks and parameters: Luigi would list all of them."""

import argparse
import re
import sys
from typing import Any, NoReturn

from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

from data_manifest.command_line.closest import closest

_build_parser = CmdlineParser._build_parser


def explain_mistyped_words() -> None:
    """Replace Luigi's messages for an unknown task and an unknown parameter."""
    Register._missing_task_msg = staticmethod(_missing_task)  # type: ignore[method-assign]
    CmdlineParser._build_parser = staticmethod(_parser_with_short_errors)  # type: ignore[method-assign,assignment]


def task_names() -> list[str]:
    """Return the names of this pipeline's tasks."""
    return [name for name in Register.task_names() if getattr(Register.get_task_cls(name), "kinds", ())]


def _missing_task(name: str) -> str:
    found = closest(name, task_names())
    return f"No task {name}. " + (f"Closest: {', '.join(found)}." if found else f"Tasks: {', '.join(task_names())}.")


def _parser_with_short_errors(root_task: str | None = None, **more: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _build_parser(root_task, **more)

    def error(message: str) -> NoReturn:
        print(f"ERROR: {_explain(message, root_task or 'TASK', parser)}", file=sys.stderr)
        sys.exit(2)

    parser.error = error  # type: ignore[method-assign]
    return parser


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
    elif found := closest(unknown[1], own):
        advice = f"Closest: {', '.join(found)}."
    return f"{task} has no parameter {unknown[1]}. {advice}"


def _takes_option(task: str, option: str) -> bool:
    return "_" not in option and option[2:].replace("-", "_") in dict(Register.get_task_cls(task).get_params())
