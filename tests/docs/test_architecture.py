"""The architecture page names packages, files and imports that exist."""

import ast
import re

from tests.helpers import ROOT

DOC = (ROOT / "docs" / "reference" / "architecture.md").read_text()
PACKAGES = ("data_manifest", "pipeline", "training", "evaluation", "export", "methods", "serve", "luigi_tasks")


def imported_packages(package: str) -> set[str]:
    """Return the packages that a package imports, without the late import of `training/__main__.py`."""
    found = set()
    for file in (ROOT / package).rglob("*.py"):
        if file == ROOT / "training" / "__main__.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return (found & set(PACKAGES)) - {package}


def test_the_table_has_the_imports() -> None:
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|(.*)\|$", DOC, re.MULTILINE)
    shown = {package: set(re.findall(r"`(\w+)`", imports)) for package, imports in rows}
    assert {package: shown[package] for package in PACKAGES} == {each: imported_packages(each) for each in PACKAGES}


def test_the_files_and_folders_exist() -> None:
    paths = set(re.findall(r"`((?:[a-z_]+/)+(?:\w+\.py)?)`", DOC))
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_modules_in_the_life_of_an_image_exist() -> None:
    modules = re.findall(
        r"`((?:[a-z_]+/)+[a-z_]+)`", DOC.split("## The life of an image")[1].split("## How to add things")[0]
    )
    assert len(modules) > 10
    known = [
        ROOT / f"{folder}{module}{end}" for module in modules for folder in ("", "pipeline/") for end in ("", ".py")
    ]
    assert all(any(path.exists() for path in known[start : start + 4]) for start in range(0, len(known), 4))
