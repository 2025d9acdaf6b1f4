"""The commands of docs/data.md are ones that there are, with options that there are."""

import re
import shlex
from pathlib import Path

import pytest

import workflows

ROOT = Path(__file__).parents[1]
DOC = (ROOT / "docs" / "data.md").read_text()
COMMANDS = re.findall(r"^luigi --module workflows (.*)$", DOC, re.MULTILINE)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_can_be_run(words: str) -> None:
    task, *given = shlex.split(words)
    options = dict(zip(given[::2], given[1::2], strict=True))
    parameters = {name.replace("_", "-") for name, _ in getattr(workflows, task).get_params()}
    assert {option.removeprefix("--") for option in options} <= parameters
    kinds = getattr(workflows, task).kinds
    names = {option.removeprefix("--").replace("-", "_"): value for option, value in options.items()}
    for kind in kinds:  # the values are ones that the settings take
        kind(**{name: value for name, value in names.items() if name in kind.__dataclass_fields__})


def test_the_way_of_five_commands_is_there() -> None:
    block = DOC.split("## From a folder of phone photos")[1].split("```")[1]
    assert [line.split()[3] for line in block.strip().splitlines()] == [
        *("BuildManifest", "advise", "SplitDataset", "TrainCosPlace", "EvaluateCosPlace")
    ]


def test_links_lead_to_files_of_the_folder() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", DOC)
    assert {"panoramas.md", "verify.md"} <= set(links)
    assert all((ROOT / "docs" / link).is_file() for link in links)
