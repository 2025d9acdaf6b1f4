import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_manifest.errors import UserError
from data_manifest.store import garbage, staging
from data_manifest.store.find import list_artifacts
from data_manifest.store.garbage import remove_garbage, show_garbage
from data_manifest.store.publish import make_current, publishing
from data_manifest.store.recipe import Recipe
from data_manifest.store.references import REMOVED
from data_manifest.store.staging import STAGING
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest

Publish = Callable[..., Path]
ROOT = Path(__file__).parents[3]


def recipe(stage: str = "manifest", version: int = 1, **inputs: str) -> Recipe:
    return Recipe(stage, "city", version, {}, inputs)


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def everything_in(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    (tmp_path / "A").mkdir()
    return tmp_path / "A"


@pytest.fixture
def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def dead_folder(artifacts: Path, process: int, name: str = "0a1b2c3d") -> Path:
    folder = artifacts / STAGING / f"{socket.gethostname()}~{process}~{int(time.time())}~{name}"
    folder.mkdir(parents=True)
    (folder / "half").write_bytes(b"12345")
    return folder


def test_what_nothing_needs_is_gone_and_the_rest_untouched(publish: Publish, artifacts: Path) -> None:
    old, size = publish(recipe()), bytes_in(publish(recipe()))
    used = publish(recipe(version=2))
    groups, new = publish(recipe("groups", manifest=used.name)), publish(recipe(version=3))
    before = everything_in(artifacts)
    facts = remove_garbage(artifacts)
    assert facts == {
        "artifacts_folder": str(artifacts),
        "dry_run": False,
        "removed": [{"what": "artifact", "path": str(old), "bytes": size, "freed": size}],
        "freed": size,
        "kept": [
            {"path": str(groups), "why": "current"},
            *sorted(
                [
                    {"path": str(used), "why": f"used by groups/city/{groups.name}"},
                    {"path": str(new), "why": "current"},
                ],
                key=lambda row: row["path"],
            ),
        ],
        "notes": [],
    }
    after = everything_in(artifacts)
    changed = {path for path in before if after.get(path) != before[path]}
    folders = {str(old.parent), str(artifacts / STAGING)}
    assert {path for path in changed if not path.startswith(str(old))} <= folders
    assert list((artifacts / STAGING).iterdir()) == []
    assert remove_garbage(artifacts)["removed"] == []


def test_a_dry_run_says_the_same_and_removes_nothing(publish: Publish, artifacts: Path, dead_process: int) -> None:
    for version in (1, 2, 3):
        publish(recipe(version=version))
        publish(recipe("groups", version))
    dead_folder(artifacts, dead_process)
    before = everything_in(artifacts)
    planned = remove_garbage(artifacts, dry_run=True)
    assert everything_in(artifacts) == before
    done = remove_garbage(artifacts)
    assert len(done["removed"]) == 5
    assert {**planned, "dry_run": False} == done


def test_dead_staging_and_unfinished_links_are_removed_and_living_kept(
    publish: Publish, artifacts: Path, dead_process: int
) -> None:
    place = publish(recipe()).parent
    dead = dead_folder(artifacts, dead_process)
    old, young = place / ".current.1.0a1b2c3d", place / ".current.2.0a1b2c3d"
    for link in (old, young):
        link.symlink_to("gone")
    os.utime(old, (time.time() - 7200,) * 2, follow_symlinks=False)
    with publishing(artifacts, recipe("groups")) as living:
        (living / "half").write_text("x")
        facts = remove_garbage(artifacts)
        assert (living / "half").exists()
    assert facts["removed"] == [
        {"what": "staging", "path": str(dead), "bytes": 5, "freed": 5},
        {"what": "link", "path": str(old), "bytes": 0, "freed": 0},
    ]
    assert not dead.exists()
    assert (old.is_symlink(), young.is_symlink(), (place / "current").is_symlink()) == (False, True, True)


def test_what_vanishes_while_it_is_looked_at(artifacts: Path) -> None:
    assert not garbage._is_unfinished(artifacts / ".current.1.0a1b2c3d")
    gone = artifacts / "gone"
    assert garbage._removal("staging", gone, gone, Counter()) == {
        **{"what": "staging", "path": str(gone)},
        **{"bytes": 0, "freed": 0},
    }


def link_all(source: Path, target: Path) -> int:
    """Have the tables of an artifact be hard links to another's; return their bytes."""
    for file in source.glob("*/*.parquet"):
        (target / file.parent.name / file.name).unlink()
        os.link(file, target / file.parent.name / file.name)
    return sum(file.stat().st_size for file in source.glob("*/*.parquet"))


@pytest.mark.parametrize("dry_run", [True, False])
def test_files_that_something_else_holds_free_nothing(publish: Publish, artifacts: Path, dry_run: bool) -> None:
    old, new = publish(recipe()), publish(recipe(version=2))
    shared, size = link_all(new, old), bytes_in(old)
    facts = remove_garbage(artifacts, dry_run=dry_run)
    assert [(row["bytes"], row["freed"]) for row in facts["removed"]] == [(size, size - shared)]
    assert facts["freed"] == size - shared
    assert (new / "things" / "part.parquet").stat().st_size == shared


@pytest.mark.parametrize("dry_run", [True, False])
def test_files_that_only_the_removed_share_are_freed_once(
    publish: Publish, artifacts: Path, dead_process: int, dry_run: bool
) -> None:
    first, second, _ = (publish(recipe(version=version)) for version in (1, 2, 3))
    dead = dead_folder(artifacts, dead_process)
    shared = link_all(first, second)
    os.link(first / "things" / "part.parquet", dead / "part.parquet")
    also_dead = dead_folder(artifacts, dead_process, "1a1b2c3d")
    (also_dead / "half").unlink()
    os.link(dead / "half", also_dead / "half")
    sizes = [bytes_in(folder) for folder in (dead, also_dead, *sorted([first, second]))]
    facts = remove_garbage(artifacts, dry_run=dry_run)
    assert [row["bytes"] for row in facts["removed"]] == sizes == [5 + shared, 5, *sizes[2:]]
    assert [row["freed"] for row in facts["removed"]] == [0, 5, sizes[2] - shared, sizes[3]]
    assert facts["freed"] == 5 + sizes[2] + sizes[3] - shared


def test_models_go_only_if_asked_for(publish: Publish, artifacts: Path) -> None:
    old, new = publish(recipe("training")), publish(recipe("training", 2))
    assert remove_garbage(artifacts)["removed"] == []
    (removed,) = remove_garbage(artifacts, ("training", "evaluation"))["removed"]
    assert removed["path"] == str(old)
    assert list_artifacts(artifacts) == [new]


def test_runs_and_listings_are_left_alone(publish: Publish, artifacts: Path) -> None:
    publish(recipe())
    for folder in ("runs/city/0123", ".listings/0123"):
        (artifacts / folder).mkdir(parents=True)
        (artifacts / folder / "file").write_text("x")
    before = everything_in(artifacts)
    facts = remove_garbage(artifacts, ("manifest", "groups", "training", "evaluation"))
    assert everything_in(artifacts) == before
    assert facts["notes"] == ["kept: all that may be its input, for the run city/0123 says not what it trains on"]


def test_a_damaged_artifact_is_never_removed_and_told(publish: Publish, artifacts: Path) -> None:
    damaged, _ = publish(recipe()), publish(recipe(version=2))
    (damaged / "recipe.json").write_text("{")
    facts = remove_garbage(artifacts)
    assert facts["removed"] == []
    (note,) = facts["notes"]
    assert note.startswith(f"kept: {damaged / 'recipe.json'} is damaged (")
    assert note.endswith(f"remove {damaged} and run again")
    (damaged / "recipe.json").unlink()
    assert remove_garbage(artifacts)["notes"] == [f"kept: {damaged} is no whole artifact: remove it by hand"]
    assert damaged.is_dir()


def test_a_place_without_current_is_told(publish: Publish, artifacts: Path) -> None:
    place = publish(recipe()).parent
    publish(recipe(version=2))
    (place / "current").unlink()
    facts = remove_garbage(artifacts)
    assert (facts["removed"], len(facts["kept"])) == ([], 2)
    assert facts["notes"] == [f"kept: {place} has no current artifact: run its stage again to have one"]


KILLED = """
import os, shutil, sys
from pathlib import Path
from data_manifest.store import garbage, staging
shutil.rmtree = lambda folder, **_: ((folder / "things" / "part.parquet").unlink(), os.kill(os.getpid(), 9))
garbage.remove_garbage(Path(sys.argv[1]))
"""


def test_what_a_killed_one_left_the_next_one_finishes(publish: Publish, artifacts: Path) -> None:
    old, new = [publish(recipe(version=version)) for version in (1, 2)], publish(recipe(version=3))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", KILLED, artifacts], env=environment, check=False)
    assert done.returncode == -9
    assert list_artifacts(artifacts) == [new]  # no reader sees one that is half removed
    left = sorted(path for path in (artifacts / STAGING).iterdir() if path.suffix != ".lock")
    assert len(left) == len(old)
    facts = remove_garbage(artifacts)
    assert [(row["what"], row["path"]) for row in facts["removed"]] == [("staging", str(path)) for path in left]
    assert list((artifacts / STAGING).iterdir()) == []


def test_a_publisher_removes_it_as_well(publish: Publish, artifacts: Path) -> None:
    for version in (1, 2):
        publish(recipe(version=version))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", KILLED, artifacts], env=environment, check=False)
    publish(recipe(version=3))
    assert list((artifacts / STAGING).iterdir()) == []


@pytest.fixture
def once_taken_out(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have something happen just after the artifacts were taken out of their places."""

    def once_taken_out(event: Callable[[], object]) -> None:
        take_out, events = garbage._take_out, [event]

        def taken(folder: Path, artifacts: Path, locks: contextlib.ExitStack) -> Path | None:
            trash = take_out(folder, artifacts, locks)
            if events:
                events.pop()()
            return trash

        monkeypatch.setattr(garbage, "_take_out", taken)

    return once_taken_out


Once = Callable[[Callable[[], object]], None]


def test_what_has_just_become_current_is_put_back(publish: Publish, artifacts: Path, once_taken_out: Once) -> None:
    old, new = publish(recipe()), publish(recipe(version=2))
    before = everything_in(old)
    once_taken_out(lambda: make_current(old))
    assert remove_garbage(artifacts)["removed"] == []
    assert everything_in(old) == before
    assert list_artifacts(artifacts) == sorted([old, new])
    assert [row["path"] for row in remove_garbage(artifacts)["removed"]] == [str(new)]


def test_what_a_build_that_just_ended_was_made_from_is_put_back(
    publish: Publish, artifacts: Path, once_taken_out: Once
) -> None:
    old, _ = publish(recipe()), publish(recipe(version=2))
    once_taken_out(lambda: publish(recipe("groups", manifest=old.name)))
    assert remove_garbage(artifacts)["removed"] == []
    assert old.is_dir()


def test_what_was_made_anew_meanwhile_stands(publish: Publish, artifacts: Path, once_taken_out: Once) -> None:
    old, new = publish(recipe()), publish(recipe(version=2))
    once_taken_out(lambda: publish(recipe()))
    (removed,) = remove_garbage(artifacts)["removed"]
    assert removed["path"] == str(old)
    assert list_artifacts(artifacts) == sorted([old, new])
    assert list((artifacts / STAGING).iterdir()) == []


def test_two_at_once_remove_everything_once(publish: Publish, artifacts: Path, once_taken_out: Once) -> None:
    paths = sorted(publish(recipe(version=version)) for version in (1, 2, 3))
    kept = publish(recipe(version=4))
    other: list[dict[str, Any]] = []
    once_taken_out(lambda: other.append(remove_garbage(artifacts)))
    ours = remove_garbage(artifacts)
    assert sorted(row["path"] for facts in (ours, *other) for row in facts["removed"]) == list(map(str, paths))
    assert list_artifacts(artifacts) == [kept]


def test_what_waits_to_be_deleted_is_no_build(
    publish: Publish, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = publish(recipe()), publish(recipe(version=2))
    groups = publish(recipe("groups", manifest=old.name))
    publish(recipe("groups", 2))
    monkeypatch.setattr(staging, "_is_running", lambda process: False)  # as where that is another container's
    with contextlib.ExitStack() as locks:
        trash = garbage._take_out(groups, artifacts, locks)
        assert trash is not None
        assert trash.name.rpartition("~")[2].startswith(REMOVED)
        assert [row["path"] for row in remove_garbage(artifacts)["removed"]] == [str(old)]
        assert trash.is_dir()  # its lock is held
    assert [row["path"] for row in remove_garbage(artifacts)["removed"]] == [str(trash)]
    assert list((artifacts / STAGING).iterdir()) == []


def test_the_pipeline_goes_on_with_what_is_left(tmp_path: Path, artifacts: Path) -> None:
    settings = GroupSettings(min_images_per_class=1)

    def build() -> tuple[Path, Path]:
        manifest = build_manifest(tmp_path / "train", artifacts)
        return manifest, build_groups(manifest, artifacts, settings)

    (tmp_path / "train").mkdir()
    made = []
    for year in (2013, 2014):
        (tmp_path / "train" / f"@0545981.19@4184971.70@10@S@@@@@174@@@@{year}09@@.jpg").touch()
        made.append(build())
    before = {path: path.read_bytes() for folder in made[1] for path in folder.rglob("*") if path.is_file()}
    facts = remove_garbage(artifacts)
    assert {row["path"] for row in facts["removed"]} == set(map(str, made[0]))
    assert build() == made[1]
    assert {path: path.read_bytes() for path in before} == before
    (tmp_path / "train" / "@0545981.19@4184971.70@10@S@@@@@174@@@@201409@@.jpg").unlink()
    assert build() == made[0]
    assert list_artifacts(artifacts) == sorted([*made[0], *made[1]])


def test_an_open_file_can_still_be_read(publish: Publish, artifacts: Path) -> None:
    old, _ = publish(recipe()), publish(recipe(version=2))
    content = (old / "things" / "part.parquet").read_bytes()
    with (old / "things" / "part.parquet").open("rb") as file:
        remove_garbage(artifacts)
        assert file.read() == content


def test_nothing_there(artifacts: Path) -> None:
    facts = remove_garbage(artifacts)
    assert (facts["removed"], facts["kept"], facts["notes"], facts["freed"]) == ([], [], [], 0)
    assert list(artifacts.iterdir()) == []
    assert show_garbage(facts) == "nothing to remove, 0 artifacts kept"


def test_mistakes(artifacts: Path) -> None:
    with pytest.raises(
        UserError, match="--stages manifest,runs: 'runs' is none of crops, manifest, checks, verified, groups"
    ):
        remove_garbage(artifacts, ("manifest", "runs"))
    with pytest.raises(UserError, match="--keep-newest -1: how many artifacts of each name to keep, from 0 up"):
        remove_garbage(artifacts, keep_newest=-1)


def test_what_cannot_be_removed_is_told(publish: Publish, artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, _ = publish(recipe()), publish(recipe(version=2))

    def refused(folder: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refused)
        with pytest.raises(UserError, match=f"{old} cannot be removed: Permission denied"):
            remove_garbage(artifacts)
    assert old.is_dir()
    monkeypatch.setattr(shutil, "rmtree", lambda folder, **_: None)
    with pytest.raises(UserError, match="cannot be removed whole: remove it by hand"):
        remove_garbage(artifacts)


def test_the_text(publish: Publish, artifacts: Path) -> None:
    old, new = publish(recipe()), publish(recipe(version=2))
    shared, size = link_all(new, old), bytes_in(old)
    planned = show_garbage(remove_garbage(artifacts, dry_run=True)).splitlines()
    assert planned[0].split() == ["would", "be", "removed", "size", "frees"]
    assert planned[1].split() == ["artifact", str(old), str(size), "B", str(size - shared), "B"]
    assert planned[2:] == [f"{size - shared} B would be freed, 1 artifact kept"]
    done = show_garbage(remove_garbage(artifacts)).splitlines()
    assert done[0].split() == ["removed", "size", "freed"]
    assert done[2:] == [f"{size - shared} B freed, 1 artifact kept"]


def test_the_facts_are_json(publish: Publish, artifacts: Path) -> None:
    publish(recipe())
    publish(recipe(version=2))
    facts = remove_garbage(artifacts)
    assert json.loads(json.dumps(facts)) == facts
