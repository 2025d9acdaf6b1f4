import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data_manifest.__main__ import main
from data_manifest.artefacts import Recipe, make_current
from data_manifest.errors import UserError

Publish = Callable[..., Path]
ROOT = Path(__file__).parents[2]
GROUPS = Recipe("groups", "sf-xl", 1, {"M": 10.0}, {})
MANIFEST = Recipe("manifest", "sf-xl", 1, {}, {})


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "data_manifest", *arguments]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_paths_as_json_in_a_process_of_its_own(publish: Publish, tmp_path: Path) -> None:
    old, new = publish(GROUPS), publish(dataclasses.replace(GROUPS, version=2), ("members", "classes"))
    manifest = publish(MANIFEST, ("manifest", "rejects"), "b.jpg")
    done = command("paths", "--artifacts-folder", "A", "--format", "json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    assert [(row["stage"], row["name"], row["table"], row["path"]) for row in rows] == [
        ("groups", "sf-xl", "classes", f"{new}/classes/*.parquet"),
        ("groups", "sf-xl", "members", f"{new}/members/*.parquet"),
        ("manifest", "sf-xl", "manifest", f"{manifest}/manifest/*.parquet"),
        ("manifest", "sf-xl", "rejects", f"{manifest}/rejects/*.parquet"),
    ]
    assert all(set(row) == {"stage", "name", "table", "path"} for row in rows)
    assert str(old) not in done.stdout
    assert pl.read_parquet(rows[2]["path"])["path"].to_list() == ["b.jpg"]


def test_a_mistake_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    done = command("paths", "--artifacts-folder", "none", folder=tmp_path)
    assert done.returncode != 0
    assert (done.stdout, done.stderr) == ("", "error: --artifacts-folder none: there is no such folder\n")


def test_the_path_is_not_through_current(publish: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = publish(GROUPS), publish(dataclasses.replace(GROUPS, version=2))
    make_current(first)
    main(["paths", "--artifacts-folder", str(tmp_path / "A"), "--format", "json"])
    assert [row["path"] for row in json.loads(capsys.readouterr().out)] == [f"{first}/things/*.parquet"]


def test_list_shows_old_artefacts_too(publish: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = publish(GROUPS), publish(dataclasses.replace(GROUPS, version=2))
    main(["list", "--artifacts-folder", str(tmp_path / "A"), "--format", "json"])
    rows = json.loads(capsys.readouterr().out)
    assert {(row["digest"], row["current"], row["path"]) for row in rows} == {
        (old.name, "", str(old)),
        (new.name, "current", str(new)),
    }


def test_text_is_in_columns(publish: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    groups, manifest = publish(GROUPS), publish(MANIFEST)
    main(["list", "--artifacts-folder", str(tmp_path / "A")])
    assert capsys.readouterr().out.splitlines() == [
        f"groups    sf-xl  {groups.name}  current  {groups}",
        f"manifest  sf-xl  {manifest.name}  current  {manifest}",
    ]


def test_nothing_there_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["paths", "--artifacts-folder", str(tmp_path), "--format", "json"])
    assert json.loads(capsys.readouterr().out) == []
    main(["list", "--artifacts-folder", str(tmp_path)])
    assert capsys.readouterr().out.strip() == "no artefacts"


def test_a_missing_folder_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        main(["paths", "--artifacts-folder", str(tmp_path / "none")])
