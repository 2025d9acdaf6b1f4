import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_manifest.errors import UserError
from data_manifest.inspect.contents import show_garbage
from data_manifest.store import garbage
from data_manifest.store.find import list_artifacts
from data_manifest.store.garbage import collect_garbage, reasons_to_keep
from data_manifest.store.publish import make_current, publishing
from data_manifest.store.recipe import Recipe
from data_manifest.store.references import STAGES, read_artifacts, read_users
from data_manifest.store.staging import STAGING, new_name
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
    facts = collect_garbage(artifacts)
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
    assert collect_garbage(artifacts)["removed"] == []


def test_a_dry_run_says_the_same_and_removes_nothing(publish: Publish, artifacts: Path, dead_process: int) -> None:
    for version in (1, 2, 3):
        publish(recipe(version=version))
        publish(recipe("groups", version))
    dead_folder(artifacts, dead_process)
    before = everything_in(artifacts)
    planned = collect_garbage(artifacts, dry_run=True)
    assert everything_in(artifacts) == before
    done = collect_garbage(artifacts)
    assert len(done["removed"]) == 5
    assert {**planned, "dry_run": False} == done


def test_old_packs_and_their_groups_are_kept_unless_named(publish: Publish, artifacts: Path) -> None:
    for version in (1, 2):  # a running training may read the old ones
        groups = publish(recipe("groups", version))
        publish(recipe("packs", version, groups=groups.name))
    assert collect_garbage(artifacts)["removed"] == []
    (removed,) = collect_garbage(artifacts, stages=("packs",))["removed"]
    assert "/packs/" in removed["path"]


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
        facts = collect_garbage(artifacts)
        assert (living / "half").exists()
    assert facts["removed"] == [
        {"what": "staging", "path": str(dead), "bytes": 5, "freed": 5},
        {"what": "link", "path": str(old), "bytes": 0, "freed": 0},
    ]
    assert not dead.exists()
    assert (old.is_symlink(), young.is_symlink(), (place / "current").is_symlink()) == (False, True, True)


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
    facts = collect_garbage(artifacts, dry_run=dry_run)
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
    facts = collect_garbage(artifacts, dry_run=dry_run)
    assert [row["bytes"] for row in facts["removed"]] == sizes == [5 + shared, 5, *sizes[2:]]
    assert [row["freed"] for row in facts["removed"]] == [0, 5, sizes[2] - shared, sizes[3]]
    assert facts["freed"] == 5 + sizes[2] + sizes[3] - shared


def test_models_go_only_if_asked_for(publish: Publish, artifacts: Path) -> None:
    old, new = publish(recipe("training")), publish(recipe("training", 2))
    assert collect_garbage(artifacts)["removed"] == []
    (removed,) = collect_garbage(artifacts, ("training", "evaluation"))["removed"]
    assert removed["path"] == str(old)
    assert list_artifacts(artifacts) == [new]


def test_runs_and_listings_are_left_alone(publish: Publish, artifacts: Path) -> None:
    publish(recipe())
    for folder in ("runs/city/0123", ".listings/0123"):
        (artifacts / folder).mkdir(parents=True)
        (artifacts / folder / "file").write_text("x")
    (artifacts / "runs/city/0123/run.json").write_text(json.dumps(recipe("training").stored()))
    before = everything_in(artifacts)
    collect_garbage(artifacts, ("manifest", "groups", "training", "evaluation"))
    assert everything_in(artifacts) == before


def test_a_place_without_current_is_told(publish: Publish, artifacts: Path) -> None:
    place = publish(recipe()).parent
    publish(recipe(version=2))
    (place / "current").unlink()
    facts = collect_garbage(artifacts)
    assert (facts["removed"], len(facts["kept"])) == ([], 2)
    assert facts["notes"] == [f"kept: {place} has no current artifact. Run its stage again."]


KILLED = """
import os, shutil, sys
from pathlib import Path
from data_manifest.store import garbage, staging
shutil.rmtree = lambda folder, **_: ((folder / "things" / "part.parquet").unlink(), os.kill(os.getpid(), 9))
garbage.collect_garbage(Path(sys.argv[1]))
"""


def test_what_a_killed_collection_left_is_removed_by_the_next(publish: Publish, artifacts: Path) -> None:
    old, new = [publish(recipe(version=version)) for version in (1, 2)], publish(recipe(version=3))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", KILLED, artifacts], env=environment, check=False)
    assert done.returncode == -9
    whole = list_artifacts(artifacts)  # no reader finds a half-removed one
    assert new in whole
    assert len(whole) == len(old)
    (left,) = (artifacts / STAGING).iterdir()
    report = collect_garbage(artifacts)
    assert [(row["what"], row["path"]) for row in report["removed"]] == [
        ("staging", str(left)),
        *(("artifact", str(path)) for path in whole if path != new),
    ]
    assert list((artifacts / STAGING).iterdir()) == []


def test_a_publisher_removes_it_as_well(publish: Publish, artifacts: Path) -> None:
    for version in (1, 2):
        publish(recipe(version=version))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", KILLED, artifacts], env=environment, check=False)
    publish(recipe(version=3))
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
    facts = collect_garbage(artifacts)
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
        collect_garbage(artifacts)
        assert file.read() == content


def test_nothing_there(artifacts: Path) -> None:
    facts = collect_garbage(artifacts)
    assert (facts["removed"], facts["kept"], facts["notes"], facts["freed"]) == ([], [], [], 0)
    assert list(artifacts.iterdir()) == []
    assert show_garbage(facts) == "nothing to remove, 0 artifacts kept"


def test_mistakes(artifacts: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"--stages manifest,runs: unknown stage 'runs'\. Choose from crops, manifest, checks",
    ):
        collect_garbage(artifacts, ("manifest", "runs"))
    with pytest.raises(UserError, match="--keep-newest -1: give 0 or more"):
        collect_garbage(artifacts, keep_newest=-1)


def test_what_cannot_be_removed_is_told(publish: Publish, artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, _ = publish(recipe()), publish(recipe(version=2))

    def refused(folder: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refused)
        with pytest.raises(UserError, match=f"{old}: cannot be removed: Permission denied"):
            collect_garbage(artifacts)
    assert old.is_dir()
    monkeypatch.setattr(shutil, "rmtree", lambda folder, **_: None)
    with pytest.raises(UserError, match=r"cannot be removed completely\. Remove it by hand"):
        collect_garbage(artifacts)


def test_the_text(publish: Publish, artifacts: Path) -> None:
    old, new = publish(recipe()), publish(recipe(version=2))
    shared, size = link_all(new, old), bytes_in(old)
    planned = show_garbage(collect_garbage(artifacts, dry_run=True)).splitlines()
    assert planned[0].split() == ["would", "be", "removed", "size", "frees"]
    assert planned[1].split() == ["artifact", str(old), str(size), "B", str(size - shared), "B"]
    assert planned[2:] == [f"{size - shared} B would be freed, 1 artifact kept"]
    done = show_garbage(collect_garbage(artifacts)).splitlines()
    assert done[0].split() == ["removed", "size", "freed"]
    assert done[2:] == [f"{size - shared} B freed, 1 artifact kept"]


def test_the_facts_are_json(publish: Publish, artifacts: Path) -> None:
    publish(recipe())
    publish(recipe(version=2))
    facts = collect_garbage(artifacts)
    assert json.loads(json.dumps(facts)) == facts


def test_a_damaged_artifact_stops_gc_before_anything_is_removed(publish: Publish, artifacts: Path) -> None:
    damaged, _ = publish(recipe()), publish(recipe(version=2))
    (damaged / "recipe.json").write_text("{")
    with pytest.raises(UserError, match=f"{damaged / 'recipe.json'} is damaged .*remove {damaged} and run again"):
        collect_garbage(artifacts)
    assert damaged.is_dir()
    (damaged / "recipe.json").unlink()
    report = collect_garbage(artifacts)
    assert report["notes"] == [f"kept: {damaged} is an incomplete artifact. Remove it by hand."]
    assert damaged.is_dir()


def test_an_artifact_that_has_just_become_current_is_kept(
    publish: Publish, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = publish(recipe()), publish(recipe(version=2))
    find_reasons = garbage.reasons_to_keep

    def swapped_afterwards(*arguments: Any) -> dict[Path, str]:
        reasons = find_reasons(*arguments)
        make_current(old)
        return reasons

    monkeypatch.setattr(garbage, "reasons_to_keep", swapped_afterwards)
    assert collect_garbage(artifacts)["removed"] == []
    assert list_artifacts(artifacts) == sorted([old, new])


def test_two_collections_at_once_remove_each_artifact_once(
    publish: Publish, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(publish(recipe(version=version)) for version in (1, 2, 3))
    kept = publish(recipe(version=4))
    others: list[dict[str, Any]] = []

    def other_first(mark: str) -> str:
        """Run another collection just before the first artifact is renamed."""
        monkeypatch.setattr("data_manifest.store.garbage.new_name", new_name)
        others.append(collect_garbage(artifacts))
        return new_name(mark)

    monkeypatch.setattr("data_manifest.store.garbage.new_name", other_first)
    reports = [collect_garbage(artifacts), *others]
    assert sorted(row["path"] for report in reports for row in report["removed"]) == list(map(str, paths))
    assert list_artifacts(artifacts) == [kept]


def made_by(stage: str, version: int = 1, name: str = "city", **inputs: Any) -> Recipe:
    return Recipe(stage, name, version, {}, inputs)


@pytest.fixture
def kept(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return the reason for each artifact in tmp_path/A that is kept, by stage, name and digest."""

    def kept(stages: tuple[str, ...] = STAGES, keep_newest: int = 0) -> dict[str, str]:
        artifacts = tmp_path / "A"
        reasons = reasons_to_keep(read_artifacts(artifacts), read_users(artifacts), stages, keep_newest)
        return {str(folder.relative_to(artifacts)): why for folder, why in reasons.items()}

    return kept


Kept = Callable[..., dict[str, str]]


def key(made: Recipe) -> str:
    return f"{made.stage}/{made.name}/{made.digest}"


def test_nothing_needs_what_was_current_before(publish: Publish, kept: Kept) -> None:
    old, new = made_by("manifest"), made_by("manifest", 2)
    publish(old)
    publish(new)
    assert kept() == {key(new): "current"}


def test_current_that_was_swapped_back(publish: Publish, kept: Kept) -> None:
    old, new = made_by("manifest"), made_by("manifest", 2)
    for each in (old, new, old):
        publish(each)
    assert kept() == {key(old): "current"}


def test_inputs_of_inputs_are_needed(publish: Publish, kept: Kept) -> None:
    manifests = [made_by("manifest", version) for version in (1, 2, 3)]
    groups = [made_by("groups", manifest=manifest.digest) for manifest in manifests]
    model = made_by("training", groups=groups[0].digest, validation="unknown")
    evaluation = made_by("evaluation", model=model.digest, database="unknown", queries="unknown")
    for each in (*manifests, *groups, model, evaluation):
        publish(each)
    make_current(publish(groups[2]))
    assert kept() == {
        key(manifests[2]): "current",
        key(groups[2]): "current",
        key(model): "current",
        key(evaluation): "current",
        key(groups[0]): f"used by {key(model)}",
        key(manifests[0]): f"used by {key(groups[0])}",
    }


def test_a_digest_is_one_artifact_under_any_name(publish: Publish, kept: Kept) -> None:
    city, town = made_by("manifest"), made_by("manifest", name="town")
    groups = made_by("groups", manifest=city.digest)
    for each in (city, made_by("manifest", 2), town, made_by("manifest", 2, "town"), groups):
        publish(each)
    assert city.digest == town.digest
    assert kept()[key(city)] == kept()[key(town)] == f"used by {key(groups)}"


def test_a_model_needs_the_manifests_it_was_validated_with(publish: Publish, kept: Kept) -> None:
    database, queries = made_by("manifest", name="val-database"), made_by("manifest", 7, name="val-queries")
    model = made_by("training", groups="0", validation={"database": database.digest, "queries": queries.digest})
    for each in (database, queries, model):
        publish(each)
        publish(dataclasses.replace(each, version=8, inputs={}))
    make_current(publish(model))
    reasons = kept()
    assert reasons[key(database)] == reasons[key(queries)] == f"used by {key(model)}"


def test_inputs_may_be_nested(publish: Publish, kept: Kept) -> None:
    manifests = [made_by("manifest", version) for version in (1, 2, 3, 4)]
    for each in (*manifests, made_by("groups", manifests=[manifests[0].digest, {"more": manifests[1].digest}], n=3)):
        publish(each)
    assert kept().keys() & set(map(key, manifests)) == {key(manifests[0]), key(manifests[1]), key(manifests[3])}


def test_the_newest_are_kept_if_asked_for(publish: Publish, kept: Kept) -> None:
    recipes = [made_by("manifest", version, name) for name in ("city", "town") for version in (1, 2, 3, 4)]
    for age, each in enumerate(recipes):
        os.utime(publish(each), (1e9 + age, 1e9 + age))
    assert set(kept()) == {key(recipes[3]), key(recipes[7])}
    expected = {key(each) for each in recipes if each.version > 2}
    assert set(kept(keep_newest=2)) == expected
    assert set(kept(keep_newest=9)) == set(map(key, recipes))


def test_stages_that_are_not_asked_for_are_kept_with_their_inputs(publish: Publish, kept: Kept) -> None:
    groups = [made_by("groups", version) for version in (1, 2, 3)]
    models = [made_by("training", groups=each.digest) for each in groups[:2]]
    for each in (*groups, *models):
        publish(each)
    assert kept(("manifest", "groups")) == {
        key(groups[2]): "current",
        key(models[1]): "current",
        key(models[0]): "not of the given stages",
        key(groups[0]): f"used by {key(models[0])}",
        key(groups[1]): f"used by {key(models[1])}",
    }
    assert key(models[0]) not in kept(("training",))


def test_a_run_keeps_what_it_trains_on(publish: Publish, kept: Kept, tmp_path: Path) -> None:
    manifest = made_by("manifest")
    groups = [made_by("groups", manifest=manifest.digest), made_by("groups", 2), made_by("groups", 3)]
    for each in (manifest, made_by("manifest", 2), *groups):
        publish(each)
    run = tmp_path / "A" / "runs" / "city" / "0123"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps(made_by("training", groups=groups[0].digest).stored()))
    reasons = kept()
    assert reasons[key(groups[0])] == "used by the run city/0123"
    assert reasons[key(manifest)] == f"used by {key(groups[0])}"
    assert key(groups[1]) not in reasons


def test_a_build_that_is_running_keeps_its_inputs(publish: Publish, kept: Kept, tmp_path: Path) -> None:
    old, other, new = (made_by("manifest", version) for version in (1, 2, 3))
    for each in (old, other, new):
        publish(each)
    with publishing(tmp_path / "A", made_by("groups", manifest=old.digest)) as staging:
        assert kept() == {key(new): "current", key(old): f"used by the build in {staging}"}
    assert set(kept()) == {key(new), key(old), key(made_by("groups", manifest=old.digest))}


def test_where_nothing_is_current_everything_is_kept(publish: Publish, kept: Kept) -> None:
    for version in (1, 2):
        publish(made_by("manifest", version))
        link = publish(made_by("groups", version)).parent / "current"
    link.unlink()
    link.symlink_to("gone")
    reason = "nothing is current there"
    assert {why for name, why in kept().items() if name.startswith("groups")} == {reason}
    assert len(kept()) == 3
    link.unlink()
    assert len(kept()) == 3


def test_a_copy_that_followed_links_stops_gc(publish: Publish, kept: Kept) -> None:
    publish(made_by("manifest"))
    link = publish(made_by("manifest", 2)).parent / "current"
    target = link.resolve()
    link.unlink()
    link.mkdir()
    (link / "recipe.json").write_bytes((target / "recipe.json").read_bytes())
    with pytest.raises(UserError, match=f"{link}/recipe.json does not describe this artifact"):
        kept()


def test_what_was_published_a_moment_ago_may_become_current(publish: Publish, kept: Kept) -> None:
    old, new = made_by("manifest"), made_by("manifest", 2)
    publish(old)
    link = publish(new).parent / "current"
    link.unlink()
    link.symlink_to(old.digest)
    os.utime(link, (1e9, 1e9), follow_symlinks=False)  # as before `publishing` comes to swap it
    assert kept() == {key(old): "current", key(new): "newer than the current one"}
