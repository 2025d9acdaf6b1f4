"""Rebuilds of a manifest: which folders and partitions are read again, and changes during a build.

tests/pipeline/test_incremental.py compares the tables after each kind of change.
"""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_manifest.errors import UserError
from data_manifest.store.find import list_artifacts, list_current
from data_manifest.store.recipe import read_recipe
from data_manifest.store.staging import STAGING
from data_manifest.tables import read_table
from pipeline.groups import build_groups as groups_module
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.listing.lines import Lines
from pipeline.listing.list_images import Listing, list_images
from pipeline.listing.shuffle import Shuffle
from pipeline.manifest import build_manifest as manifest_module
from pipeline.manifest import build_partition as partition_module
from pipeline.manifest.build_manifest import build_manifest
from pipeline.metadata.paths import Paths, distinct_paths
from tests.helpers import tables_in
from tests.pipeline.conftest import write

NameWith = Callable[..., str]
ROWS = 50


def inodes_in(artifact: Path) -> dict[str, int]:
    return {str(path.relative_to(artifact)): path.stat().st_ino for path in artifact.rglob("*.parquet")}


@pytest.fixture
def city(
    tmp_path: Path,
    name_with: NameWith,
    rows_per_partition: Callable[[int], None],
    an_hour_passes: Callable[[], None],
) -> Path:
    """Return a tree of twenty folders, one of them huge, last changed an hour ago."""
    rows_per_partition(ROWS)
    for number in range(20):
        count = 100 if number == 7 else 1 + number % 9
        names = [name_with(pano_id=f"{number}-{pano}", utm_east=f"0545{pano:03}.19") for pano in range(count)]
        names += ["odd.jpg"] if number % 5 == 0 else []
        write(tmp_path / "city" / "train" / f"37.{number}" / ("deep" if number % 4 == 3 else ""), *names)
    an_hour_passes()
    return tmp_path / "city" / "train"


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    """Build the manifest of a folder in tmp_path/A, and check it against a build from nothing."""

    def build(folder: Path, listing: Listing | None = None, check: bool = True) -> Path:
        artifact = build_manifest(folder, tmp_path / "A", "city", listing=listing)
        if not check:
            return artifact
        from_nothing = build_manifest(folder, tmp_path / "B", "city")
        assert tables_in(artifact) == tables_in(from_nothing)
        assert artifact.name == from_nothing.name
        assert list_current(tmp_path / "A") == [artifact]
        shutil.rmtree(tmp_path / "B")
        return artifact

    return build


Build = Callable[..., Path]


def check_reused_partitions(before: Path, after: Path, max_rebuilt: int) -> None:
    """Check that files of equal names are links to the same file, and that few partitions are rebuilt."""
    old, new = inodes_in(before), inodes_in(after)
    assert all(new[name] == old[name] for name in old.keys() & new.keys())
    summary = read_recipe(after)["summary"]
    assert 2 * summary["partitions_from_before"] == len(old.keys() & new.keys())
    assert summary["partitions"] - summary["partitions_from_before"] <= max_rebuilt


def rename_an_image(train: Path, name: str) -> None:
    next((train / "37.5").glob("@*")).rename(train / "37.5" / name)


def remove_a_folder(train: Path, name: str) -> None:
    shutil.rmtree(train / "37.5")


def test_renamed_folder_in_a_list_rebuilds_few_partitions(city: Path, build: Build) -> None:
    lines = [str(path.relative_to(city)) for path in city.rglob("*.jpg")]
    write_list(city, lines, "{}\n")
    before = build(city, check=False)
    write_list(city, [line.replace("37.5/", "38.5/") for line in lines], "{}\n")
    check_reused_partitions(before, build(city), max_rebuilt=3)


@pytest.fixture
def forbid_writing(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that makes writing a partition fail."""

    def fail(*arguments: object) -> None:
        raise AssertionError("a partition is written")

    return lambda: monkeypatch.setattr(partition_module, "write_table", fail)


def test_new_modification_times_rebuild_nothing(
    city: Path, tmp_path: Path, build: Build, forbid_writing: Callable[[], None]
) -> None:
    before = build(city, check=False)
    forbid_writing()
    for folder in city.iterdir():
        os.utime(folder)
    write(city / "37.1", "notes.txt")
    (city / "37.1" / "notes.txt").unlink()
    assert build_manifest(city, tmp_path / "A", "city") == before


def test_moved_tree_rebuilds_nothing(
    city: Path, tmp_path: Path, build: Build, forbid_writing: Callable[[], None]
) -> None:
    before = build(city, check=False)
    forbid_writing()
    moved = city.parent.rename(tmp_path / "elsewhere") / "train"
    assert build_manifest(moved, tmp_path / "A", "city") == before


def test_moved_tree_with_another_name_reuses_all_tables(
    city: Path, tmp_path: Path, forbid_writing: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data sets are named after their folders."""
    everything = GroupSettings(min_images_per_class=1)
    before = build_manifest(city, tmp_path / "A")
    groups_before = build_groups(before, tmp_path / "A", everything)
    forbid_writing()
    monkeypatch.setattr(groups_module, "write_table", None)
    moved = city.parent.rename(tmp_path / "elsewhere") / "train"
    after = build_manifest(moved, tmp_path / "A")
    groups_after = build_groups(after, tmp_path / "A", everything)
    for old, new in ((before, after), (groups_before, groups_after)):
        assert new != old
        assert inodes_in(new) == inodes_in(old) != {}
        assert read_recipe(new)["digest"] == new.name == old.name
        assert read_recipe(new)["name"] == new.parent.name
    assert read_recipe(after)["summary"] == {**read_recipe(before)["summary"], "origin": str(moved)}
    assert list_current(tmp_path / "A") == sorted([before, after, groups_before, groups_after])


def test_moved_and_changed_tree_reuses_other_partitions(
    city: Path, tmp_path: Path, build: Build, name_with: NameWith
) -> None:
    before = build_manifest(city, tmp_path / "A", "other")
    write(city / "37.5", name_with(pano_id="new"))
    moved = city.parent.rename(tmp_path / "elsewhere") / "train"
    check_reused_partitions(before, build_manifest(moved, tmp_path / "A", "city"), max_rebuilt=1)


def test_other_settings_reuse_nothing(city: Path, tmp_path: Path) -> None:
    build_manifest(city, tmp_path / "A", "city")
    other = build_manifest(city, tmp_path / "A", "city", strict=False)
    assert read_recipe(other)["summary"]["partitions_from_before"] == 0
    assert tables_in(other).keys() == tables_in(build_manifest(city, tmp_path / "B", "city", strict=False)).keys()


def test_only_changed_folders_are_read(city: Path, tmp_path: Path, listed_folders: list[str]) -> None:
    build_manifest(city, tmp_path / "A", "city")
    write(city / "37.5", "new.jpg")
    listed_folders.clear()
    build_manifest(city, tmp_path / "A", "city")
    of_train = {name for name in listed_folders if name == "deep" or name.startswith("37.")}
    assert "37.5" in of_train
    assert len(of_train) < 10, "those of the partition of 37.5"


@pytest.fixture
def read_partitions(monkeypatch: pytest.MonkeyPatch) -> list[Lines]:
    """Return a list to which the lines of each partition are appended when it is read."""
    read = []

    def record(lines: Lines) -> Paths:
        read.append(lines)
        return distinct_paths(lines)

    monkeypatch.setattr(partition_module, "distinct_paths", record)
    return read


def write_list(train: Path, lines: list[str], form: str) -> None:
    shuffled = random.Random(form).sample(lines, len(lines))
    train.with_name("train_images_paths.txt").write_bytes("".join(map(form.format, shuffled)).encode())


def test_only_changed_partitions_of_a_list_are_read_in_any_form(
    city: Path, build: Build, name_with: NameWith, read_partitions: list[Lines]
) -> None:
    lines = [str(path.relative_to(city)) for path in city.rglob("*.jpg")]
    write_list(city, lines, "{}\n")
    before = build(city, check=False)
    for form in ("./{}\n", "{}\r\n", "././{}\r\r\n"):
        write_list(city, lines, form)
        read_partitions.clear()
        check_reused_partitions(before, build(city, check=False), 0)
        assert read_partitions == []
    write_list(city, [*lines, f"37.5/{name_with(pano_id='new')}"], "./{}\n")
    after = build(city, check=False)
    assert len(read_partitions) == 1
    check_reused_partitions(before, after, 1)
    assert tables_in(after) == tables_in(build(city))


def test_few_changed_digits_of_a_name_are_noticed(city: Path, build: Build, name_with: NameWith) -> None:
    """The digits are at the same place of 8-byte words, which a weak checksum would confuse."""
    before = name_with(pano_id="0000000000700070000000", longitude="-122.47760")
    write_list(city, [f"x/{before}"], "{}\n")
    build(city)
    after = name_with(pano_id="0000000000000000000000", longitude="-122.47767")
    write_list(city, [f"x/{after}"], "{}\n")
    assert read_table(build(city), "manifest")["path"].to_list() == [f"x/{after}"]


def test_repeats_in_a_list_are_counted_in_each_build(city: Path, build: Build, name_with: NameWith) -> None:
    lines = [str(path.relative_to(city)) for path in city.rglob("*.jpg")]
    write_list(city, [*lines, *lines[:3]], "{}\n")
    before = build(city)
    write_list(city, [*lines, *lines[:3], f"37.5/{name_with(pano_id='new')}"], "{}\n")
    after = build(city)
    assert [read_recipe(artifact)["summary"]["repeats"] for artifact in (before, after)] == [3, 3]
    check_reused_partitions(before, after, 1)


@pytest.mark.parametrize("broken", ["removed", "garbage", "a folder", "rescan"])
def test_broken_listing_cache_does_not_change_the_manifest(
    city: Path, tmp_path: Path, build: Build, name_with: NameWith, broken: str
) -> None:
    before = build(city, check=False)
    (cache,) = (tmp_path / "A" / ".listings").glob("*/folders.parquet")
    if broken == "garbage":
        cache.write_bytes(b"PAR1 and more")
    elif broken != "rescan":
        cache.unlink()
    if broken == "a folder":
        cache.mkdir()
    write(city / "37.5", name_with())
    after = build(city, list_images(city, tmp_path / "A", rescan=broken == "rescan"))
    check_reused_partitions(before, after, max_rebuilt=1)


@pytest.mark.parametrize("change", [rename_an_image, remove_a_folder])
def test_folder_that_changes_after_the_listing_is_an_error(
    city: Path, tmp_path: Path, build: Build, name_with: NameWith, change: Callable[[Path, str], None]
) -> None:
    before = build(city, check=False)
    write(city / "37.5", name_with(pano_id="before"))
    listing = list_images(city, tmp_path / "A")
    change(city, name_with(pano_id="after"))
    with pytest.raises(UserError, match=r"37\.5/: cannot be listed|train has changed while it was being read\."):
        build_manifest(city, tmp_path / "A", "city", listing=listing)
    assert list_artifacts(tmp_path / "A") == list_current(tmp_path / "A") == [before]
    assert list((tmp_path / "A" / STAGING).iterdir()) == []
    check_reused_partitions(before, build(city), max_rebuilt=1)


@pytest.mark.parametrize("gone", [False, True])
def test_list_that_changes_after_the_listing_is_an_error(
    city: Path, tmp_path: Path, name_with: NameWith, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    list_file = city.with_name("train_images_paths.txt")
    list_file.write_text(name_with())

    def change_list(*arguments: Any) -> Shuffle:
        list_file.unlink() if gone else list_file.write_text(name_with(pano_id="after"))
        return Shuffle(*arguments)

    monkeypatch.setattr(manifest_module, "Shuffle", change_list)
    with pytest.raises(UserError, match=f"{list_file}(: cannot be read: No such file| has changed while it was being)"):
        build_manifest(city, tmp_path / "A", "city")
    assert list_artifacts(tmp_path / "A") == []


def test_list_that_changes_after_it_was_read_gives_the_manifest_of_before(
    city: Path, tmp_path: Path, name_with: NameWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_file = city.with_name("train_images_paths.txt")
    list_file.write_text(name_with(pano_id="before"))

    def change_list(*arguments: Any) -> Shuffle:
        shuffle = Shuffle(*arguments)
        list_file.write_text(name_with(pano_id="after"))
        return shuffle

    with monkeypatch.context() as patch:
        patch.setattr(manifest_module, "Shuffle", change_list)
        before = build_manifest(city, tmp_path / "A", "city")
    after = build_manifest(city, tmp_path / "A", "city")
    panoramas = [read_table(manifest, "manifest")["pano_id"].to_list() for manifest in (before, after)]
    assert panoramas == [["before"], ["after"]]


def test_manifest_of_an_older_version_is_ignored(city: Path, tmp_path: Path, build: Build) -> None:
    older = tmp_path / "A" / "manifest" / "city" / "0123456789abcdef"
    older.mkdir(parents=True)
    (older / "recipe.json").write_text('{"summary": {"made": "3 usable images"}}')
    build(city)
