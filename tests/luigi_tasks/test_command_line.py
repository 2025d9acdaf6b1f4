"""Messages for mistyped tasks and parameters, and the help."""

import re

import pytest
from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import TaskClassException

from tests.helpers import run_module

MISTYPED = {
    "begin of a task": (("Train",), "No task Train. Closest: TrainSeeds, TrainCosPlace."),
    "misspelt task": (("BuildManifets",), "No task BuildManifets. Closest: BuildManifest."),
    "no task": (("Xyz",), "No task Xyz. Tasks: BuildGroups, BuildManifest, CropPanoramas, EvaluateCosPlace, "),
    "misspelt parameter": (("BuildGroups", "--aplha", "3"), "BuildGroups has no parameter --aplha. Closest: --alpha"),
    "with underscores": (("TrainCosPlace", "--batch_size=3"), "has no parameter --batch_size. Closest: --batch-size"),
    "parameter of another task": (("VerifyImages", "--lr", "1"), "--lr. It belongs to EvaluateCosPlace, "),
    "no value": (("BuildGroups", "--alpha"), "argument --alpha: expected one argument. Run luigi --module workflows"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTYPED.values(), ids=MISTYPED.keys())
def test_mistyped_word_is_one_message(
    arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import workflows  # noqa: F401 -- registers the tasks

    with pytest.raises((SystemExit, TaskClassException)) as stop:
        CmdlineParser(["--module", "workflows", *arguments])  # type: ignore[no-untyped-call]
    shown = capsys.readouterr()
    text = str(stop.value) if stop.type is TaskClassException or not shown.err else shown.err
    assert message in text
    assert text.count("\n") <= 1
    assert shown.out == ""


def test_unknown_task_ends_the_command() -> None:
    done = run_module("luigi", "--module", "workflows", "Train")
    assert done.returncode != 0
    assert done.stderr == "ERROR: No task Train. Closest: TrainSeeds, TrainCosPlace.\n"


def test_help_shows_parameters_with_defaults() -> None:
    text = " ".join(run_module("luigi", "--module", "workflows", "TrainCosPlace", "--help").stdout.split())
    for part in (
        "--M M side of a cell, in metres [10.0]",
        "--alpha ALPHA width of a heading bin, in degrees",
        "--fc-output-dim FC_OUTPUT_DIM descriptor dimension [512]",
        "--lr LR learning rate of the network (Adam) [1e-05]",
        "--positive-dist-threshold POSITIVE_DIST_THRESHOLD largest distance in metres",
        "--device DEVICE device of the network: auto",
    ):
        assert part in text


@pytest.mark.parametrize("task", ["TrainCosPlace", "BuildGroups", "WriteReport"])
def test_help_shows_each_flag_once_in_groups(task: str) -> None:
    text = run_module("luigi", "--module", "workflows", task, "--help").stdout
    flags = re.findall(r"^  (--[\w-]+)", text, re.MULTILINE)
    assert len(flags) == len(set(flags))
    assert not [flag for flag in flags if flag.startswith(f"--{task}")]
    assert text.startswith(f"usage: luigi --module workflows {task} [--PARAMETER VALUE ...]\n\n")
    assert {"Data:", "Grouping:", "Cluster:", "Luigi:"} <= set(text.splitlines())


def test_prefixed_flags_still_work() -> None:
    done = run_module("luigi", "--module", "workflows", "BuildGroups", "--BuildGroups-alpha", "-3")
    assert "alpha = -3" in done.stderr
