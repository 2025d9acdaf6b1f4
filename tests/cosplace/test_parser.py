"""The help and the flags of the commands."""

import re

import pytest

import workflows  # noqa: F401 -- registers the tasks
from cosplace.commands import COMMANDS, TASKS, TaskCommand
from cosplace.parser import help_of, overview, parser_of, parser_of_all
from luigi_tasks.parameters import parameters_of

MAX_LINES = 60  # one screen


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def flags_in(text: str) -> list[str]:
    return re.findall(r"^  (?:-h, )?(--[\w-]+)", text, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_on_one_screen_and_shows_each_flag_once(name: str) -> None:
    text = parser_of(name).format_help()
    assert text.count("\n") <= MAX_LINES
    assert len(flags_in(text)) == len(set(flags_in(text)))
    assert text.count(f"  cosplace {name}") == 2


@pytest.mark.parametrize("name", TASKS)
def test_all_help_shows_every_parameter_of_the_task(name: str) -> None:
    expected = {f"--{each.replace('_', '-')}" for each in parameters_of(TASKS[name])}
    flags = flags_in(help_of(name))
    assert set(flags) == expected | {"--help", "--config", "--workers"}
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("name", TASKS)
def test_everyday_flags_exist(name: str) -> None:
    command = COMMANDS[name]
    assert isinstance(command, TaskCommand)
    assert set(command.everyday) <= set(parameters_of(command.task))
    assert {each.rstrip("?") for each in command.positionals} <= set(parameters_of(command.task))


@pytest.mark.parametrize("name", TASKS)
def test_short_help_is_more_than_one_of_the_choices(name: str) -> None:
    for parameter in parameters_of(TASKS[name]).values():
        text = parameter.short_description.split(" [")[0]
        assert text not in parameter.field.metadata["choices"]
        assert " " in text


def test_arguments_are_explained_for_their_command() -> None:
    assert "PHOTOS_FOLDER             folder of images, whose" in parser_of("embed").format_help()
    assert "evaluation or comparison" in parser_of("report").format_help()


def test_help_says_how_many_flags_it_hides() -> None:
    hidden = len(flags_in(help_of("train"))) - len(flags_in(parser_of("train").format_help()))
    assert f"show {hidden + 1} more flags" in parser_of("train").format_help()  # only one of the two shows --help-all


def test_flags_are_grouped_by_settings_class() -> None:
    titles = re.findall(r"^(\w+):$", help_of("train"), re.MULTILINE)
    expected = ["General", "Data", "Grouping", "Network", "Augmentation", "Optimisation", "Evaluation", "Runtime"]
    assert titles == [*expected, "Cluster", "Verification", "examples"]


def test_overview_lists_commands_in_the_order_of_use() -> None:
    assert re.findall(r"^  (\w+)  ", overview(), re.MULTILINE) == list(COMMANDS)


def test_underscores_in_flags_are_hyphens() -> None:
    parsed = parser_of("train").parse_args(["--fc_output_dim", "64", "--lr=1e-3", "--train_all_layers"])
    assert (parsed.fc_output_dim, parsed.lr, parsed.train_all_layers) == ("64", "1e-3", "true")


def test_completion_knows_every_command() -> None:
    assert set(parser_of_all().commands()) == set(COMMANDS)
