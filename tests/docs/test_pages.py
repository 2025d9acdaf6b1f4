"""Commands, links and Python examples of all pages exist."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, commands
from tests.helpers import ROOT

MAX_README_WORDS = 1000
CHECK = """
import json, sys
from cosplace.parser import parser_of
from cosplace.published_flags import translate
for name, flags in json.load(sys.stdin):
    known = {option for action in parser_of(name, True)._actions for option in action.option_strings}
    unknown = [flag for flag in translate(flags) if flag.replace("_", "-") not in known and flag not in known]
    assert not unknown, (name, unknown)
"""


def test_readme_is_short() -> None:
    assert len(PAGES["README.md"].split()) <= MAX_README_WORDS


def test_commands_and_their_flags_exist() -> None:
    found = [
        (words[1], [word.partition("=")[0] for word in words[2:] if word.startswith("--")]) for _, words in commands()
    ]
    assert len(found) > 60
    done = subprocess.run(
        [sys.executable, "-c", CHECK], input=json.dumps(found), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_links_point_to_files(page: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", PAGES[page]) if "://" not in link]
    missing = [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_python_examples_import_what_exists(page: str) -> None:
    for block in re.findall(r"^ *```python\n(.*?)^ *```$", PAGES[page], re.DOTALL | re.MULTILINE):
        lines = block.splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip())
        for node in ast.walk(ast.parse("\n".join(line[indent:] for line in lines))):
            if isinstance(node, ast.ImportFrom) and node.module and (ROOT / node.module.split(".")[0]).is_dir():
                spec = importlib.util.find_spec(node.module)
                assert spec is not None, node.module
                text = Path(str(spec.origin)).read_text()
                assert all(re.search(rf"^(def|class) {each.name}\b", text, re.MULTILINE) for each in node.names)


def test_every_page_is_in_the_contents() -> None:
    contents = set(re.findall(r"^([a-z-]+(?:/[a-z-]+)?)$", PAGES["docs/index.md"], re.MULTILINE))
    pages = {page.removeprefix("docs/").removesuffix(".md") for page in PAGES if page.startswith("docs/")}
    assert pages - {"index"} == contents
