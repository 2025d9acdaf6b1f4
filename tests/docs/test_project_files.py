"""The files of the project agree: constraints with lower bounds, workflows, pictures."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.helpers import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lower_bounds() -> dict[str, str]:
    """Return the lower bound of each dependency, as `>=` in pyproject.toml gives it."""
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *extras["heif"], *extras["store"], *extras["tensorboard"], *extras["timm"]]
    found = (re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", line) for line in lines)
    return {each[1]: each[2] for each in found if each}


def padded(version: str) -> tuple[int, ...]:
    numbers = [int(number) for number in version.split(".")]
    return (*numbers, *[0] * (3 - len(numbers)))


def test_oldest_versions_are_the_lower_bounds() -> None:
    lines = (ROOT / "constraints-oldest.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    bounds = lower_bounds()
    assert len(bounds) > 15
    assert {name: padded(pinned[name]) for name in bounds} == {name: padded(bound) for name, bound in bounds.items()}


def test_workflow_installs_the_oldest_versions() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert set(jobs) == {"test", "docs", "wheel"}
    versions = jobs["test"]["strategy"]["matrix"]["include"]
    assert [each["dependencies"] for each in versions] == ["oldest", "newest"]
    assert (ROOT / versions[0]["constraints"]).is_file()


@pytest.mark.parametrize("name", ["CITATION.cff", ".pre-commit-config.yaml"])
def test_yaml_files_are_read(name: str) -> None:
    assert isinstance(yaml.safe_load((ROOT / name).read_text()), dict)


def test_citation_has_the_version() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == PROJECT["version"]


def test_every_picture_is_shown() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "".join(page.read_text() for page in pages)
    pictures = [path.name for path in Path(ROOT / "docs" / "pictures").iterdir()]
    assert [name for name in pictures if f"pictures/{name}" not in text] == []
