"""Images that are added, removed and renamed: the manifest is that of a build from nothing, for little work."""

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
ROWS = 30


def inodes_in(artifact: Path) -> dict[str, int]:
    return {str(path.relative_to(artifact)): path.stat().st_ino for path in artifact.rglob("*.parquet")}


@pytest.fixture
def city(
    tmp_path: Path,
    name_with: NameWith,
    rows_per_partition: Callable[[int], None],
    an_hour_passes: Callable[[], None],
) -> Path:
    """A tree of twenty folders, one of them huge, left alone for an hour."""
    rows_per_partition(ROWS)
    for number in range(20):
        count = 100 if number == 7 else 1 + number % 9
        names = [name_with(pano_id=f"{number}-{pano}", utm_east=f"0545{pano:03}.19") for pano in range(count)]
        write(tmp_path / "city" / "train" / f"37.{number}" / ("deep" if number % 4 == 3 else ""), *names, "odd.jpg")
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


def check_what_was_taken_over(before: Path, after: Path, made_anew: int) -> None:
    """Check that files of the same names are the same files, and how many partitions were made anew at most."""
    old, new = inodes_in(before), inodes_in(after)
    assert all(new[name] == old[name] for name in old.keys() & new.keys())
    summary = read_recipe(after)["summary"]
    assert 2 * summary["partitions_from_before"] == len(old.keys() & new.keys())
    assert summary["partitions"] - summary["partitions_from_before"] <= made_anew


def add_an_image(train: Path, name: str) -> None:
    write(train / "37.5", name)


def remove_an_image(train: Path, name: str) -> None:
    next((train / "37.5").glob("@*")).unlink()


def rename_an_image(train: Path, name: str) -> None:
    next((train / "37.5").glob("@*")).rename(train / "37.5" / name)


def spoil_an_image(train: Path, name: str) -> None:
    next((train / "37.5").glob("@*")).rename(train / "37.5" / "spoiled.jpg")


def add_to_the_huge_folder(train: Path, name: str) -> None:
    write(train / "37.7" / "deep", name)


def add_a_folder(train: Path, name: str) -> None:
    write(train / "38.0" / "new", name)


def remove_a_folder(train: Path, name: str) -> None:
    shutil.rmtree(train / "37.5")


def rename_a_folder(train: Path, name: str) -> None:
    (train / "37.5").rename(train / "38.5")


def move_an_image(train: Path, name: str) -> None:
    moved = next((train / "37.5").glob("@*"))
    moved.rename(train / "37.6" / moved.name)


Change = Callable[[Path, str], None]
CHANGES: tuple[tuple[Change, int], ...] = (
    *((add_an_image, 1), (remove_an_image, 1), (rename_an_image, 1), (spoil_an_image, 1), (move_an_image, 3)),
    *((add_to_the_huge_folder, 2), (add_a_folder, 2), (remove_a_folder, 1), (rename_a_folder, 3)),
)


@pytest.mark.parametrize(("change", "made_anew"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_a_change_in_a_tree(city: Path, build: Build, name_with: NameWith, change: Change, made_anew: int) -> None:
    before = build(city, check=False)
    change(city, name_with(pano_id="new"))
    after = build(city)
    assert after != before
    check_what_was_taken_over(before, after, made_anew)


@pytest.mark.parametrize("change", [add_an_image, add_to_the_huge_folder, rename_a_folder])
def test_a_list_that_is_replaced(city: Path, build: Build, name_with: NameWith, change: Change) -> None:
    def write_list() -> None:
        lines = [str(path.relative_to(city)) for path in city.rglob("*.jpg")]
        random.Random(0).shuffle(lines)
        city.with_name("train_images_paths.txt").write_text("\n".join(lines))

    write_list()
    before = build(city, check=False)
    change(city, name_with(pano_id="new"))
    write_list()
    check_what_was_taken_over(before, build(city), dict(CHANGES)[change])


def test_many_changes_in_a_row(city: Path, build: Build, name_with: NameWith) -> None:
    choose = random.Random(1)
    for number in range(4):
        folder = choose.choice(sorted(path for path in city.rglob("*") if path.is_dir() and any(path.glob("*.jpg"))))
        write(folder, *(name_with(pano_id=f"{number}-{more}", timestamp=2020) for more in range(choose.randrange(30))))
        for gone in choose.sample(sorted(folder.glob("*.jpg")), choose.randrange(2)):
            gone.unlink()
        build(city)


def test_an_undone_change_is_the_artifact_of_before(city: Path, build: Build, name_with: NameWith) -> None:
    before = build(city, check=False)
    write(city / "38.0", name_with())
    assert build(city) != before
    shutil.rmtree(city / "38.0")
    assert build(city) == before


@pytest.fixture
def nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on, no partition may be written."""

    def refused(*given: object) -> None:
        raise AssertionError("a partition is written")

    return lambda: monkeypatch.setattr(partition_module, "write_table", refused)


def test_a_touch_makes_nothing_anew(
    city: Path, tmp_path: Path, build: Build, nothing_is_made: Callable[[], None]
) -> None:
    before = build(city, check=False)
    nothing_is_made()
    for folder in city.iterdir():
        os.utime(folder)
    write(city / "37.1", "notes.txt")
    (city / "37.1" / "notes.txt").unlink()
    assert build_manifest(city, tmp_path / "A", "city") == before


def test_a_tree_that_is_moved_makes_nothing_anew(
    city: Path, tmp_path: Path, build: Build, nothing_is_made: Callable[[], None]
) -> None:
    before = build(city, check=False)
    nothing_is_made()
    moved = city.parent.rename(tmp_path / "elsewhere") / "train"
    assert build_manifest(moved, tmp_path / "A", "city") == before


def test_a_tree_that_is_moved_to_where_it_has_another_name(
    city: Path, tmp_path: Path, nothing_is_made: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of data sets come from their folders; the tables are the same files."""
    everything = GroupSettings(min_images_per_class=1)
    before = build_manifest(city, tmp_path / "A")
    groups_before = build_groups(before, tmp_path / "A", everything)
    nothing_is_made()
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


def test_a_tree_that_is_moved_and_changed(city: Path, tmp_path: Path, build: Build, name_with: NameWith) -> None:
    before = build_manifest(city, tmp_path / "A", "other")
    write(city / "37.5", name_with(pano_id="new"))
    moved = city.parent.rename(tmp_path / "elsewhere") / "train"
    check_what_was_taken_over(before, build_manifest(moved, tmp_path / "A", "city"), made_anew=1)


def test_other_rules_take_nothing_over(city: Path, tmp_path: Path) -> None:
    build_manifest(city, tmp_path / "A", "city")
    other = build_manifest(city, tmp_path / "A", "city", strict=False)
    assert read_recipe(other)["summary"]["partitions_from_before"] == 0
    assert tables_in(other).keys() == tables_in(build_manifest(city, tmp_path / "B", "city", strict=False)).keys()


def test_only_folders_that_changed_are_read(city: Path, tmp_path: Path, listed_folders: list[str]) -> None:
    build_manifest(city, tmp_path / "A", "city")
    write(city / "37.5", "new.jpg")
    listed_folders.clear()
    build_manifest(city, tmp_path / "A", "city")
    of_train = {name for name in listed_folders if name == "deep" or name.startswith("37.")}
    assert "37.5" in of_train
    assert len(of_train) < 10, "those of the partition of 37.5"


@pytest.fixture
def read_partitions(monkeypatch: pytest.MonkeyPatch) -> list[Lines]:
    """The lines of partitions that are read from now on."""
    read = []

    def noted(lines: Lines) -> Paths:
        read.append(lines)
        return distinct_paths(lines)

    monkeypatch.setattr(partition_module, "distinct_paths", noted)
    return read


def write_list(train: Path, lines: list[str], form: str) -> None:
    shuffled = random.Random(form).sample(lines, len(lines))
    train.with_name("train_images_paths.txt").write_bytes("".join(map(form.format, shuffled)).encode())


def test_only_partitions_that_changed_are_read_whatever_the_form_of_a_list(
    city: Path, build: Build, name_with: NameWith, read_partitions: list[Lines]
) -> None:
    lines = [str(path.relative_to(city)) for path in city.rglob("*.jpg")]
    write_list(city, lines, "{}\n")
    before = build(city, check=False)
    for form in ("./{}\n", "{}\r\n", "././{}\r\r\n"):
        write_list(city, lines, form)
        read_partitions.clear()
        check_what_was_taken_over(before, build(city, check=False), 0)
        assert read_partitions == []
    write_list(city, [*lines, f"37.5/{name_with(pano_id='new')}"], "./{}\n")
    after = build(city, check=False)
    assert len(read_partitions) == 1
    check_what_was_taken_over(before, after, 1)
    assert tables_in(after) == tables_in(build(city))


def test_a_name_in_which_a_few_digits_change_is_another(city: Path, build: Build, name_with: NameWith) -> None:
    """Digits of one place in words of eight bytes, which a weak sum would take for each other."""
    before = name_with(pano_id="0000000000700070000000", longitude="-122.47760")
    write_list(city, [f"x/{before}"], "{}\n")
    build(city)
    after = name_with(pano_id="0000000000000000000000", longitude="-122.47767")
    write_list(city, [f"x/{after}"], "{}\n")
    assert read_table(build(city), "manifest")["path"].to_list() == [f"x/{after}"]


def test_repeats_in_a_list_are_counted_again_each_time(city: Path, build: Build, name_with: NameWith) -> None:
    lines = [str(path.relative_to(city)) for path in city.rglob("*.jpg")]
    write_list(city, [*lines, *lines[:3]], "{}\n")
    before = build(city)
    write_list(city, [*lines, *lines[:3], f"37.5/{name_with(pano_id='new')}"], "{}\n")
    after = build(city)
    assert [read_recipe(artifact)["summary"]["repeats"] for artifact in (before, after)] == [3, 3]
    check_what_was_taken_over(before, after, 1)


@pytest.mark.parametrize("broken", ["removed", "garbage", "a folder", "rescan"])
def test_what_is_kept_of_a_listing_decides_nothing(
    city: Path, tmp_path: Path, build: Build, name_with: NameWith, broken: str
) -> None:
    before = build(city, check=False)
    (kept,) = (tmp_path / "A" / ".listings").glob("*/folders.parquet")
    if broken == "garbage":
        kept.write_bytes(b"PAR1 and more")
    elif broken != "rescan":
        kept.unlink()
    if broken == "a folder":
        kept.mkdir()
    write(city / "37.5", name_with())
    after = build(city, list_images(city, tmp_path / "A", rescan=broken == "rescan"))
    check_what_was_taken_over(before, after, made_anew=1)


@pytest.mark.parametrize("change", [rename_an_image, remove_a_folder])
def test_a_folder_that_changes_after_the_listing(
    city: Path, tmp_path: Path, build: Build, name_with: NameWith, change: Change
) -> None:
    before = build(city, check=False)
    write(city / "37.5", name_with(pano_id="before"))
    listing = list_images(city, tmp_path / "A")
    change(city, name_with(pano_id="after"))
    with pytest.raises(UserError, match=r"37\.5/: cannot be listed|train has changed while it was being read\."):
        build_manifest(city, tmp_path / "A", "city", listing=listing)
    assert list_artifacts(tmp_path / "A") == list_current(tmp_path / "A") == [before]
    assert list((tmp_path / "A" / STAGING).iterdir()) == []
    check_what_was_taken_over(before, build(city), made_anew=1)


@pytest.mark.parametrize("gone", [False, True])
def test_a_list_that_changes_after_the_listing(
    city: Path, tmp_path: Path, name_with: NameWith, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    list_file = city.with_name("train_images_paths.txt")
    list_file.write_text(name_with())

    def meanwhile(*given: Any) -> Shuffle:
        shuffle = Shuffle(*given)
        list_file.unlink() if gone else list_file.write_text(name_with(pano_id="after"))
        return shuffle

    monkeypatch.setattr(manifest_module, "Shuffle", meanwhile)
    with pytest.raises(UserError, match=f"{list_file}(: cannot be read: No such file| has changed while it was being)"):
        build_manifest(city, tmp_path / "A", "city")
    assert list_artifacts(tmp_path / "A") == []


def test_a_manifest_of_an_older_version_is_no_hindrance(city: Path, tmp_path: Path, build: Build) -> None:
    older = tmp_path / "A" / "manifest" / "city" / "0123456789abcdef"
    older.mkdir(parents=True)
    (older / "recipe.json").write_text('{"summary": {"made": "3 usable images"}}')
    build(city)
