import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe
from data_manifest.store.references import REMOVED, Artifact, User, read_artifacts, read_users
from data_manifest.store.staging import STAGING

Publish = Callable[..., Path]
GROUPS = Recipe("groups", "city", 1, {"M": 10.0}, {"manifest": "0123", "more": ["4567", {"deep": "89ab"}, 7, None]})
DIGESTS = frozenset(["0123", "4567", "89ab"])


def test_an_artifact_and_its_inputs_however_deep(publish: Publish, tmp_path: Path) -> None:
    folder = publish(GROUPS)
    (artifact,) = read_artifacts(tmp_path / "A")
    assert artifact == Artifact(f"groups/city/{folder.name}", "groups", DIGESTS, folder=folder)
    assert artifact.digest == GROUPS.digest


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "{}", '{"digest": "another", "inputs": {}}'])
def test_a_damaged_artifact_says_which_and_what_to_do(publish: Publish, tmp_path: Path, content: str) -> None:
    folder = publish(GROUPS)
    (folder / "recipe.json").write_text(content)
    (artifact,) = read_artifacts(tmp_path / "A")
    assert artifact.inputs is None
    assert f"remove {folder}" in artifact.problem or artifact.problem.startswith(f"{folder} is not what its recipe")


def test_runs(tmp_path: Path) -> None:
    for name, content in (("0123", json.dumps(GROUPS.stored())), ("4567", "{")):
        (tmp_path / "runs" / "city" / name).mkdir(parents=True)
        (tmp_path / "runs" / "city" / name / "run.json").write_text(content)
    (tmp_path / "runs" / "city" / "89ab").mkdir()
    problems = [f"the run city/{name} says not what it trains on" for name in ("4567", "89ab")]
    assert read_users(tmp_path) == [
        User("the run city/0123", "training", DIGESTS),
        User("the run city/4567", "training", None, problems[0]),
        User("the run city/89ab", "training", None, problems[1]),
    ]


def test_builds_that_may_be_running(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for process, last in ((dead.pid, "0a1b2c3d"), (os.getpid(), f"{REMOVED}0a1b2c3d")):
        (tmp_path / STAGING / f"{socket.gethostname()}~{process}~1~{last}").mkdir(parents=True)
    assert read_users(tmp_path) == []
    with publishing(tmp_path, GROUPS) as staging:
        assert read_users(tmp_path) == [User(f"the build in {staging}", "", DIGESTS)]
        (staging / "recipe.json").write_text('{"stage": "gro')
        (user,) = read_users(tmp_path)
        assert (user.inputs, user.problem) == (None, f"the build in {staging} says not what it reads")


def test_nothing_there(tmp_path: Path) -> None:
    assert read_artifacts(tmp_path) == []
    assert read_users(tmp_path) == []
