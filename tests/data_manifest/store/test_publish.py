import dataclasses
import errno
import hashlib
import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_manifest.errors import UserError
from data_manifest.store import publish as publish_module
from data_manifest.store import recipe as recipe_module
from data_manifest.store.files import format_bytes
from data_manifest.store.find import find_artifacts, list_artifacts, list_current
from data_manifest.store.publish import find_published, make_current, publishing
from data_manifest.store.recipe import Recipe, digest_of, digest_of_file, is_published, read_recipe
from data_manifest.store.staging import STAGING, dead_staging
from tests.helpers import files_in

Publish = Callable[..., Path]
RECIPE = Recipe("groups", "sf-xl-processed-train", 1, {"M": 10.0, "alpha": 30.0}, {"manifest": "0123456789abcdef"})
DIGEST = "09ae8ca0c74f5000"
STARTED = int(time.time())


def test_digests_are_those_of_canonical_json() -> None:
    assert digest_of({}) == "44136fa355b3678a"
    assert digest_of({"b": [1, 2.5, None], "a": "é"}) == "84afbf1d4853005f"
    assert digest_of({"a": "é", "b": [1, 2.5, None]}) == "84afbf1d4853005f"


def test_a_recipes_digest_by_another_route() -> None:
    text = (
        '{"inputs":{"manifest":"0123456789abcdef"},"schema_version":2,"settings":{"M":10.0,"alpha":30.0},'
        '"stage":"groups","version":1}'
    )
    assert RECIPE.digest == hashlib.sha256(text.encode()).hexdigest()[:16] == DIGEST


def test_the_folder_is_a_function_of_the_recipe() -> None:
    assert RECIPE.folder(Path("artifacts")) == Path("artifacts/groups/sf-xl-processed-train") / DIGEST


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "manifest"},
        {"version": 2},
        {"settings": {"M": 10.0, "alpha": 30.5}},
        {"settings": {"M": 10.0}},
        {"inputs": {"manifest": "0123456789abcdee"}},
        {"inputs": {}},
    ],
)
def test_whatever_makes_an_artifact_changes_its_digest(change: dict[str, Any]) -> None:
    assert dataclasses.replace(RECIPE, **change).digest != DIGEST


def test_the_version_of_the_schemas_changes_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe_module, "SCHEMA_VERSION", 3)
    assert RECIPE.digest != DIGEST


def test_the_name_is_for_people() -> None:
    assert dataclasses.replace(RECIPE, name="another").digest == DIGEST


def test_a_build_says_at_once_what_it_makes(tmp_path: Path) -> None:
    with publishing(tmp_path, RECIPE) as staging:
        assert read_recipe(staging) == RECIPE.stored()


def test_what_is_published(publish: Publish, tmp_path: Path) -> None:
    folder = publish(RECIPE)
    assert folder == tmp_path / "A" / "groups" / "sf-xl-processed-train" / DIGEST
    assert set(files_in(tmp_path / "A")) == {
        f"groups/sf-xl-processed-train/{DIGEST}/recipe.json",
        f"groups/sf-xl-processed-train/{DIGEST}/things/part.parquet",
    }
    assert (folder.parent / "current").readlink() == Path(DIGEST)
    assert list((tmp_path / "A" / STAGING).iterdir()) == []
    assert json.loads((folder / "recipe.json").read_text()) == {
        "digest": DIGEST,
        "stage": "groups",
        "name": "sf-xl-processed-train",
        "version": 1,
        "schema_version": 2,
        "settings": {"M": 10.0, "alpha": 30.0},
        "inputs": {"manifest": "0123456789abcdef"},
        "summary": {"made": "1 row"},
    }
    assert RECIPE.stored().items() <= read_recipe(folder).items()


def test_a_summary_may_be_filled_while_the_folder_is(tmp_path: Path) -> None:
    summary: dict[str, Any] = {}
    with publishing(tmp_path, RECIPE, summary):
        summary["made"] = "nothing much"
    assert read_recipe(RECIPE.folder(tmp_path))["summary"] == {"made": "nothing much"}


def test_nothing_is_seen_before_it_is_whole(tmp_path: Path) -> None:
    with publishing(tmp_path, RECIPE) as staging:
        (staging / "half").write_text("x")
        assert not is_published(RECIPE.folder(tmp_path))
        assert list_artifacts(tmp_path) == list_current(tmp_path) == []
    assert list_artifacts(tmp_path) == list_current(tmp_path) == [RECIPE.folder(tmp_path)]


@pytest.mark.parametrize("error", [UserError("none usable"), SystemExit(1), OSError(errno.EIO, "broken")])
def test_a_failure_leaves_nothing_and_keeps_current(publish: Publish, tmp_path: Path, error: BaseException) -> None:
    first = publish(RECIPE)
    before = files_in(tmp_path / "A")
    other = dataclasses.replace(RECIPE, version=2)
    with pytest.raises(type(error)), publishing(tmp_path / "A", other) as staging:  # noqa: PT012 - it is what fails
        (staging / "half").write_text("x")
        raise error
    assert not other.folder(tmp_path / "A").exists()
    assert files_in(tmp_path / "A") == before
    assert list((tmp_path / "A" / STAGING).iterdir()) == []
    assert list_current(tmp_path / "A") == [first]


def test_what_is_stopped_from_the_keyboard_is_kept_for_the_next_run(publish: Publish, tmp_path: Path) -> None:
    first = publish(RECIPE)
    other = dataclasses.replace(RECIPE, version=2)
    with pytest.raises(KeyboardInterrupt), publishing(tmp_path / "A", other) as staging:  # noqa: PT012
        (staging / "half").write_text("x")
        raise KeyboardInterrupt
    assert not other.folder(tmp_path / "A").exists()
    assert list_current(tmp_path / "A") == [first]
    assert (staging / "half").exists()
    assert dead_staging(tmp_path / "A") == [staging]


def test_a_disk_that_fills_at_the_last_moment(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(publish_module, "fsync", full_disk)
    message = f"the disk of {tmp_path / 'A'} is full (No space left on device): nothing was published; free some space"
    with pytest.raises(UserError, match=f"^{re.escape(message)}, or choose --artifacts-folder, and run again$"):
        publish(RECIPE)
    assert files_in(tmp_path / "A") == {}
    assert list_current(tmp_path / "A") == []


def test_everything_is_written_through_before_the_rename(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def note(path: Path) -> None:
        state = "after" if is_published(RECIPE.folder(tmp_path / "A")) else "before"
        synced.append(f"{path.name if '~' not in path.name else 'staging'} {state}")

    monkeypatch.setattr(publish_module, "fsync", note)
    publish(RECIPE)
    assert set(synced[:-1]) == {"staging before", "recipe.json before", "things before", "part.parquet before"}
    assert synced[-1] == "sf-xl-processed-train after"


def test_what_killed_writers_left_is_not_published(publish: Publish, tmp_path: Path) -> None:
    with publishing(tmp_path / "A", RECIPE) as staging:
        (staging / "things").mkdir()
        (staging / "things" / "part.parquet").write_text("whole")
        (staging / "things" / ".part.parquet.0123").write_text("half of i")
        (staging / ".other.parquet.4567").touch()
    assert {path.name for path in RECIPE.folder(tmp_path / "A").rglob("*") if path.is_file()} == {
        *("recipe.json", "part.parquet")
    }


def test_two_publishers_at_once_the_first_stands(tmp_path: Path) -> None:
    with publishing(tmp_path, RECIPE, {"by": "second"}) as ours:
        with publishing(tmp_path, RECIPE, {"by": "first"}) as theirs:
            assert ours != theirs
            (theirs / "by").write_text("first")
        (ours / "by").write_text("second")
    folder = RECIPE.folder(tmp_path)
    assert (folder / "by").read_text() == "first"
    assert read_recipe(folder)["summary"] == {"by": "first"}
    assert list_current(tmp_path) == [folder]
    assert list((tmp_path / STAGING).iterdir()) == []


def test_many_publishers_at_once(tmp_path: Path) -> None:
    start = threading.Barrier(8)
    failures: list[BaseException] = []

    def publish_once(number: int) -> None:
        try:
            with publishing(tmp_path, RECIPE, {"by": number}) as staging:
                (staging / "by").write_text(str(number))
                start.wait()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=publish_once, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    folder = RECIPE.folder(tmp_path)
    assert (folder / "by").read_text() == str(read_recipe(folder)["summary"]["by"])
    assert sorted(path.name for path in folder.parent.iterdir()) == sorted([DIGEST, "current"])
    assert list((tmp_path / STAGING).iterdir()) == []


def test_what_is_published_never_changes(publish: Publish) -> None:
    folder = publish(RECIPE, text="first.jpg")
    before, times = files_in(folder), {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    publish(RECIPE, text="second.jpg")
    assert files_in(folder) == before
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times


def test_a_folder_in_the_way_is_told(publish: Publish, tmp_path: Path) -> None:
    folder = publish(RECIPE)
    (folder / "recipe.json").unlink()
    with pytest.raises(UserError, match=f"{DIGEST} is an incomplete artifact: remove it and run again"):
        publish(RECIPE)
    assert list((tmp_path / "A" / STAGING).iterdir()) == []


def test_what_is_removed_in_the_moment_of_publishing_is_published_anew(
    publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = publish(RECIPE)
    rename = Path.rename

    def removed_meanwhile(path: Path, target: Path) -> Path:
        if target.exists():
            shutil.rmtree(target)
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", removed_meanwhile)
    assert publish(RECIPE) == folder
    assert is_published(folder)


def test_current_is_the_last_one_made_or_asked_for(publish: Publish, tmp_path: Path) -> None:
    first, second = publish(RECIPE), publish(dataclasses.replace(RECIPE, version=2))
    assert list_current(tmp_path / "A") == [second]
    make_current(first)
    assert list_current(tmp_path / "A") == [first]
    make_current(first)
    assert list_artifacts(tmp_path / "A") == sorted([first, second])
    assert sorted(path.name for path in first.parent.iterdir()) == sorted([first.name, second.name, "current"])


def test_current_that_cannot_be_swapped_is_told(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*given: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    first = publish(RECIPE)
    monkeypatch.setattr(Path, "symlink_to", refused)
    second = publish(dataclasses.replace(RECIPE, version=2))
    assert list_current(tmp_path / "A") == [first]
    link = first.parent / "current"
    assert caplog.messages == [f"Cannot make {link} lead to {second.name}: Read-only file system"]


def test_one_of_another_name_is_adopted_where_that_is_asked_for(publish: Publish, tmp_path: Path) -> None:
    first = publish(RECIPE)
    other = dataclasses.replace(RECIPE, name="other")
    assert find_published(tmp_path / "A", other) is None
    assert find_published(tmp_path / "A", dataclasses.replace(other, version=2), adopt={}) is None
    folder = find_published(tmp_path / "A", other, adopt={"origin": "there"})
    assert folder == tmp_path / "A" / "groups" / "other" / DIGEST
    assert {path: path.stat().st_ino for path in first.glob("*/*")} == {
        first / path.relative_to(folder): path.stat().st_ino for path in folder.glob("*/*")
    }
    recipe, before = read_recipe(folder), read_recipe(first)
    assert recipe == {**before, "name": "other", "summary": {**before["summary"], "origin": "there"}}
    assert list_current(tmp_path / "A") == sorted([first, folder])
    assert find_artifacts(tmp_path / "A", other.stage) == [folder, first]


def test_adopted_on_a_file_system_without_links(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*given: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    first = publish(RECIPE)
    monkeypatch.setattr(os, "link", refused)
    folder = find_published(tmp_path / "A", dataclasses.replace(RECIPE, name="other"), adopt={})
    assert folder is not None
    assert {"recipe.json": b"", **files_in(folder)}.keys() == files_in(first).keys()


def test_a_damaged_one_of_another_name_is_not_adopted(publish: Publish, tmp_path: Path) -> None:
    (publish(RECIPE) / "recipe.json").write_text("{")
    assert find_published(tmp_path / "A", dataclasses.replace(RECIPE, name="other"), adopt={}) is None


@pytest.mark.parametrize("at", ["first", "last"])
def test_one_that_vanishes_while_it_is_adopted(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    copytree = shutil.copytree

    def vanishing(twin: Path, *given: Any, **named: Any) -> None:
        monkeypatch.undo()
        if at == "last":
            copytree(twin, *given, **named)
        twin.rename(tmp_path / "gone")
        if at == "first":
            copytree(twin, *given, **named)

    publish(RECIPE)
    monkeypatch.setattr(shutil, "copytree", vanishing)
    assert find_published(tmp_path / "A", dataclasses.replace(RECIPE, name="other"), adopt={}) is None
    assert list_artifacts(tmp_path / "A") == list((tmp_path / "A" / STAGING).iterdir()) == []


def test_current_that_leads_nowhere_is_no_current(publish: Publish, tmp_path: Path) -> None:
    shutil.rmtree(publish(RECIPE))
    assert list_current(tmp_path / "A") == list_artifacts(tmp_path / "A") == []


def test_the_folder_of_artifacts_may_be_moved(publish: Publish, tmp_path: Path) -> None:
    publish(RECIPE)
    (tmp_path / "A").rename(tmp_path / "B")
    assert list_current(tmp_path / "B") == [RECIPE.folder(tmp_path / "B")]


def test_artifacts_of_a_recipe_the_newest_first(publish: Publish, tmp_path: Path) -> None:
    recipes = [dataclasses.replace(RECIPE, version=version) for version in (3, 1, 2)]
    folders = [publish(recipe) for recipe in recipes]
    for age, folder in enumerate(reversed(folders)):
        os.utime(folder, (STARTED - age, STARTED - age))
    publish(dataclasses.replace(RECIPE, name="other"))
    publish(dataclasses.replace(RECIPE, stage="manifest"))
    (folders[0].parent / "0000000000000000").mkdir()  # not whole
    assert find_artifacts(tmp_path / "A", RECIPE.stage, RECIPE.name) == folders[::-1]
    assert find_artifacts(tmp_path / "B", RECIPE.stage, RECIPE.name) == []


def test_no_folder_of_artifacts_yet(tmp_path: Path) -> None:
    assert dead_staging(tmp_path / "none") == find_artifacts(tmp_path / "none", RECIPE.stage, RECIPE.name) == []
    assert list_artifacts(tmp_path / "none") == list_current(tmp_path / "none") == []


def test_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"^cannot write in .*file: .*; choose --artifacts-folder$"):  # noqa: SIM117
        with publishing(tmp_path / "file", RECIPE):
            pass


def test_a_folder_that_is_no_artifact_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a published artifact: it has no recipe\.json"):
        read_recipe(tmp_path)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (48_200, "48.2 kB"), (2_500_000, "2.5 MB")],
)
def test_bytes_for_people(count: int, expected: str) -> None:
    assert format_bytes(count) == expected
    assert format_bytes(242e9) == "242.0 GB"
    assert format_bytes(1.5e15) == "1500.0 TB"


def test_digest_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"abc")
    assert digest_of_file(tmp_path / "weights.pth") == "ba7816bf8f01cfea"
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'none.pth'}: cannot be read: No such file")):
        digest_of_file(tmp_path / "none.pth")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        digest_of_file(tmp_path)


def test_a_folder_name_that_is_no_utf_8_ends_in_the_recipe(tmp_path: Path) -> None:
    with publishing(tmp_path, RECIPE, {"origin": os.fsdecode(b"/data/\xff")}):
        logging.getLogger(__name__).debug("nothing to write")
    assert read_recipe(RECIPE.folder(tmp_path))["summary"] == {"origin": "/data/\udcff"}


def test_a_current_that_a_copy_made_a_folder_of_is_no_current(publish: Publish, tmp_path: Path) -> None:
    link = publish(RECIPE).parent / "current"
    target = link.resolve()
    link.unlink()
    shutil.copytree(target, link)
    assert list_current(tmp_path / "A") == []
    make_current(target)
    assert list(link.parent.glob(".current.*")) == []
    assert link.is_dir()
