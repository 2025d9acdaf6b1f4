"""References to methods as texts."""

from pathlib import Path
from typing import Any

import pytest

from data_manifest.errors import UserError
from methods.entry import entry_of, entry_of_file, entry_of_hub
from methods.named_methods import NAMED_METHODS
from methods.settings import MethodSettings


def test_a_text_is_a_name_a_hub_entry_a_file_or_no_method(repository: Path, tmp_path: Path) -> None:
    for word in ("MegaLoc", "megaloc", "boq_dinov2", "BoQ DINOv2"):
        found = entry_of(word)
        assert found is not None
        assert found.source == NAMED_METHODS[found.name].repository
    (tmp_path / "net.py").touch()
    kinds = {
        "owner/name:entry": (False, True),
        "owner/name:v1.0:entry(a=1)": (False, True),
        f"{repository}:colours": (False, False),
        f"{tmp_path}/net.py:build": (True, False),
    }
    for text, (is_file, is_github) in kinds.items():
        found = entry_of(text)
        assert found is not None
        assert (found.is_file, found.github is not None) == (is_file, is_github)
    for text in ("ResNet50-512", "model.pth", str(tmp_path), "artifacts/training/city", "./MegaLoc"):
        assert entry_of(text) is None
    (tmp_path / "a:b").touch()
    assert entry_of(str(tmp_path / "a:b")) is None, "a file with a colon in its name"


def test_arguments_are_python_values_and_bare_words() -> None:
    entry = entry_of_hub("owner/name:ref/1:build(backbone=ResNet50, dim=512, sizes=(3, 4), note='a, b')")
    assert (entry.source, entry.function) == ("owner/name:ref/1", "build")
    assert entry.arguments == {"backbone": "ResNet50", "dim": 512, "sizes": (3, 4), "note": "a, b"}
    flags = entry_of_hub("owner/name:build(a=false, b=True, c=none, d='false')").arguments
    assert flags == {"a": False, "b": True, "c": None, "d": "false"}
    assert entry.github is not None
    assert entry.github["ref"] == "ref/1"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gmberton/MegaLoc", r"^hub = gmberton/MegaLoc: expected REPO:ENTRY, as in owner/name:entry"),
        ("owner/name:", "expected REPO:ENTRY"),
        ("owner/name:get-model", "expected REPO:ENTRY"),
        ("name:entry", "name is neither a folder nor owner/name of a GitHub repository"),
        ("owner/name:entry(3)", "arguments are not name=value"),
        ("owner/name:entry(a=f())", "arguments are not name=value"),
        ("owner/name:entry(a=1", "expected REPO:ENTRY"),
    ],
)
def test_wrong_hub_entries_are_errors(text: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        entry_of_hub(text)


def test_wrong_files_are_errors(tmp_path: Path) -> None:
    (tmp_path / "net.py").touch()
    wrong = {"net.py": "expected FILE.py:FUNCTION", "net.txt:f": "is not a Python file", "none.py:f": "no file"}
    for text, problem in wrong.items():
        with pytest.raises(UserError, match=problem):
            entry_of_file(f"{tmp_path}/{text}")
    with pytest.raises(UserError, match=r"no hubconf\.py in the folder"):
        entry_of_hub(f"{tmp_path}:f")


def test_settings_take_one_method_and_known_names() -> None:
    assert MethodSettings(method="salad").method == "SALAD"
    with pytest.raises(
        UserError, match=r"^method = 'MegaLok': no such method\. Closest: MegaLoc\. Known: CosPlace, Eig"
    ):
        MethodSettings(method="MegaLok")
    with pytest.raises(UserError, match=r"method = SALAD and hub = a/b:c: give only one of the two"):
        MethodSettings(method="SALAD", hub="a/b:c")
    for name in ("input_size", "input_multiple"):
        values: dict[str, Any] = {name: 0}
        with pytest.raises(UserError, match=f"{name} = 0: must be at least 1 pixel"):
            MethodSettings(**values)
