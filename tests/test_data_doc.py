"""Commands, options and links in docs/data.md exist."""

import json
import re
import shlex
import subprocess
import sys

from tests.helpers import ROOT

DOC = (ROOT / "docs" / "data.md").read_text()
COMMANDS = re.findall(r"^luigi --module workflows (.*)$", DOC, re.MULTILINE)


# In a process of its own: what imports the tasks sets up logging and processes for a command line.
CHECK = """
import json, sys, workflows
for task, options in json.load(sys.stdin):
    parameters = {name for name, _ in getattr(workflows, task).get_params()}
    assert options.keys() <= parameters, (task, options.keys() - parameters)
    for kind in getattr(workflows, task).kinds:  # refuses values that it does not take
        kind(**{name: value for name, value in options.items() if name in kind.__dataclass_fields__})
"""


def options_of(words: list[str]) -> dict[str, str]:
    names = [option.removeprefix("--").replace("-", "_") for option in words[::2]]
    return dict(zip(names, words[1::2], strict=True))


def test_commands_and_their_options_exist() -> None:
    commands = [(words[0], options_of(words[1:])) for words in map(shlex.split, COMMANDS)]
    assert len(commands) > 8
    done = subprocess.run(
        [sys.executable, "-c", CHECK], input=json.dumps(commands), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_page_shows_the_five_commands() -> None:
    block = DOC.split("## From a folder of phone photos")[1].split("```")[1]
    assert [line.split()[3] for line in block.strip().splitlines()] == [
        *("BuildManifest", "advise", "SplitDataset", "TrainCosPlace", "EvaluateCosPlace")
    ]


def test_links_point_to_files() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", DOC)
    assert {"panoramas.md", "verify.md"} <= set(links)
    assert all((ROOT / "docs" / link).is_file() for link in links)
