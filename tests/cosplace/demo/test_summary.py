"""The last lines of `cosplace demo` name commands that work."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from cosplace.demo.run_demo import summary
from cosplace.parser import parser_of
from data_manifest.store.find import find_artifact
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    folder = tmp_path / "my demo" / "artifacts"
    for stage, name in (("training", "city-train"), ("evaluation", "city-test-queries"), ("report", "city-train")):
        with publishing(folder, Recipe(stage, name, 1, {}, {}), {"made": "some"}):
            pass
    return folder


def test_the_command_that_serves_the_city_is_complete(artifacts: Path) -> None:
    (line,) = re.findall(r"^Serve the city: +cosplace serve (.*)$", summary(artifacts, {}), re.MULTILINE)
    options = parser_of("serve").parse_args(shlex.split(line))
    ((name, database),) = options.database
    assert name is None
    assert find_artifact(database).parent.name == "city-test-queries"
    assert find_artifact(Path(options.model)).parent.name == "city-train"


def test_a_missing_extra_is_named(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    hint = "pip install 'cosplace-pipeline[serve]'"
    for missing in (None, "uvicorn"):
        with monkeypatch.context() as patched:
            patched.setattr(importlib.util, "find_spec", lambda name, hide=missing: None if name == hide else object())
            assert (hint in summary(artifacts, {})) == (missing is not None)
    assert importlib.util.find_spec is found
