import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe
from data_manifest.store.references import Artifact, User, read_artifacts, read_users
from data_manifest.store.staging import REMOVED, STAGING

Publish = Callable[..., Path]
GROUPS = Recipe("groups", "city", 1, {"M": 10.0}, {"manifest": "0123", "more": ["4567", {"deep": "89ab"}, 7, None]})
DIGESTS = frozenset(["0123", "4567", "89ab"])


def test_an_artifact_and_its_inputs_at_any_depth(publish: Publish, tmp_path: Path) -> None:
    folder = publish(GROUPS)
    (artifact,) = read_artifacts(tmp_path / "A")
    assert artifact == Artifact(f"groups/city/{folder.name}", DIGESTS, folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "{}", '{"digest": "another", "inputs": {}}'])
def test_a_damaged_artifact_is_an_error_that_names_its_folder(publish: Publish, tmp_path: Path, content: str) -> None:
    folder = publish(GROUPS)
    (folder / "recipe.json").write_text(content)
    with pytest.raises(UserError, match=f"[Rr]emove {folder} and run again"):
        read_artifacts(tmp_path / "A")


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", "7"])
def test_runs(tmp_path: Path, content: str | None) -> None:
    run, other = (tmp_path / "runs" / "city" / name for name in ("0123", "4567"))
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps(GROUPS.stored()))
    assert read_users(tmp_path) == [User("the run city/0123", DIGESTS)]
    other.mkdir()
    if content is not None:
        (other / "run.json").write_text(content)
    with pytest.raises(UserError, match=r"^the run city/4567 does not say what it uses: .*run\.json is missing or dam"):
        read_users(tmp_path)


def test_running_builds(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for process, last in ((dead.pid, "0a1b2c3d"), (os.getpid(), f"{REMOVED}0a1b2c3d")):
        (tmp_path / STAGING / f"{socket.gethostname()}~{process}~1~{last}").mkdir(parents=True)
    assert read_users(tmp_path) == []
    with publishing(tmp_path, GROUPS) as staging:
        assert read_users(tmp_path) == [User(f"the build in {staging}", DIGESTS)]
        (staging / "recipe.json").write_text('{"stage": "gro')
        with pytest.raises(UserError, match=f"^the build in {staging} does not say what it uses"):
            read_users(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    assert read_artifacts(tmp_path) == []
    assert read_users(tmp_path) == []
