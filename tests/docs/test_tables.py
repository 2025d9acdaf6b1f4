"""Run the examples on tables with a small artifacts folder."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from data_manifest.__main__ import main
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from tests.helpers import ROOT

PAGE = (ROOT / "docs" / "reference" / "files-and-tables.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^python -m data_manifest (.*)$", PAGE, re.MULTILINE)
YEARS = (2011, 2013, 2013, 2013, 2019)
DATA_SET = "sf-xl-processed-train"


def block_with(words: str) -> str:
    found: list[str] = [block for block in BLOCKS if words in block]
    assert len(found) == 1
    return found[0]


def run(block: str, folder: Path) -> str:
    words = [sys.executable, "-W", "error", "-c", block]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    return done.stdout.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `artifacts`: manifest and groups of five images and two rejects."""
    folder = tmp_path_factory.mktemp("readme")
    train = folder / "sf-xl" / "processed" / "train"
    train.mkdir(parents=True)
    for number, year in enumerate(YEARS):
        (train / f"@0545981.19@4184971.70@10@S@@@pano{number}@@174@@@@{year}09@@.jpg").touch()
    for name in ("no-name.jpg", "@x@4184971.70@10@S@@@@@174@@@@201309@@.jpg"):
        (train / name).touch()
    manifest = build_manifest(train, folder / "artifacts", DATA_SET)
    build_groups(manifest, folder / "artifacts", GroupSettings(min_images_per_class=1))
    return folder


def test_rejects_in_polars(folder: Path) -> None:
    rows = re.findall(r"│ ([a-z ]+?) +┆ (\d+) +│", run(block_with("import polars"), folder))
    assert sorted(rows) == [("not a number", "1"), ("wrong number of fields", "1")]


@pytest.mark.skipif(importlib.util.find_spec("duckdb") is None, reason="duckdb is not installed: see the extra dev")
def test_images_by_year_in_duckdb(folder: Path) -> None:
    rows = re.findall(r"│ +(\d+) +│ +(\d+) +│", run(block_with("import duckdb"), folder))
    assert rows == [(str(year), str(YEARS.count(year))) for year in (2011, 2013, 2019)]


@pytest.mark.parametrize("words", COMMANDS)
def test_commands(
    words: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    main(shlex.split(words, comments=True))
    assert capsys.readouterr().out.strip()


def test_all_commands_are_shown() -> None:
    assert {words.split()[0] for words in COMMANDS} == {"paths", "list", "summary", "rejects", "classes", "gc"}
