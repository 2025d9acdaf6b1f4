"""Groups after a change of the images: what is the same is linked, and all is as if from nothing."""

import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.groups import gather as members
from pipeline.groups import group_tables
from pipeline.groups import reuse as earlier_module
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from tests.helpers import tables_in
from tests.pipeline.conftest import write

NameWith = Callable[..., str]
SETTINGS = GroupSettings(N=3, alpha=90, min_images_per_class=4)
ROWS_PER_FILE, ROWS_PER_PARTITION = 25, 40


NOWHERE = {"latitude": "", "longitude": ""}


def image(name_with: NameWith, number: int, choose: random.Random, **fields: Any) -> str:
    """A name in a street of cells; classes have four images, more or less."""
    place = {"utm_east": 545_000 + 10 * choose.randrange(20), "heading": choose.choice([0, 100, 200, ""])}
    return name_with(**{**place, "timestamp": 2010 + number % 3, "pano_id": number, **fields})


@pytest.fixture
def city(
    tmp_path: Path,
    name_with: NameWith,
    rows_per_partition: Callable[[int], None],
    an_hour_passes: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Twenty folders of images of one street; partitions and files of few rows."""
    rows_per_partition(ROWS_PER_PARTITION)
    monkeypatch.setattr(members, "ROWS_PER_FILE", ROWS_PER_FILE)
    choose = random.Random(0)
    for number in range(300):
        write(tmp_path / "city" / "train" / f"37.{number % 20:02d}", image(name_with, number, choose))
    an_hour_passes()
    return tmp_path / "city" / "train"


Build = Callable[..., Path]


@pytest.fixture
def build(city: Path, tmp_path: Path) -> Build:
    """Build manifest and groups in tmp_path/A, and check all bytes against a build from nothing."""

    def build(settings: GroupSettings = SETTINGS) -> Path:
        groups = build_groups(build_manifest(city, tmp_path / "A"), tmp_path / "A", settings)
        from_nothing = build_groups(build_manifest(city, tmp_path / "B"), tmp_path / "B", settings)
        assert groups.name == from_nothing.name
        assert tables_in(groups) == tables_in(from_nothing) != {}
        summaries = [read_recipe(each)["summary"] for each in (groups, from_nothing)]
        assert summaries[1].pop("files_from_before") == 0
        assert summaries[0].pop("files_from_before") <= len(list((groups / "members").iterdir()))
        assert summaries[0] == summaries[1]
        shutil.rmtree(tmp_path / "B")
        return groups

    return build


def shared_files(one: Path, other: Path, table: str) -> set[str]:
    """The names of files that are one file at two places."""
    inodes = [{path.name: path.stat().st_ino for path in (each / table).iterdir()} for each in (one, other)]
    return {name for name in inodes[0].keys() & inodes[1].keys() if inodes[0][name] == inodes[1][name]}


def num_member_files(groups: Path) -> int:
    return len(list((groups / "members").iterdir()))


def images_of_large_classes(groups: Path, city: Path) -> list[Path]:
    """Images whose class would have enough without them."""
    table = read_table(groups, "members").join(
        read_table(groups, "classes").select("group_index", "class_index", "num_images"),
        on=["group_index", "class_index"],
    )
    return [city / path for path in table.filter(table["num_images"] > SETTINGS.min_images_per_class)["path"]]


def test_an_image_less_makes_one_file_anew(city: Path, build: Build) -> None:
    before = build()
    images_of_large_classes(before, city)[0].unlink()
    after = build()
    assert num_member_files(after) > 5
    assert len(shared_files(before, after, "members")) == num_member_files(after) - 1
    assert read_recipe(after)["summary"]["files_from_before"] == num_member_files(after) - 1
    assert len(shared_files(before, after, "class_counts")) == len(list((after / "class_counts").iterdir())) - 1


def test_an_image_that_is_renamed_within_its_class_makes_one_file_anew(city: Path, build: Build) -> None:
    before = build()
    renamed = images_of_large_classes(before, city)[0]
    renamed.rename(renamed.with_name(renamed.name.replace(".jpg", "z.jpg")))
    assert len(shared_files(before, build(), "members")) == num_member_files(before) - 1


def test_an_image_of_a_class_that_stays_too_small_makes_no_file_anew(
    city: Path, build: Build, name_with: NameWith
) -> None:
    before = build()
    write(city / "37.05", name_with(utm_east="600000", **NOWHERE, pano_id="far"))
    after = build()
    assert after != before
    assert shared_files(before, after, "members") == {path.name for path in (after / "members").iterdir()}


def test_a_class_that_comes_in_moves_the_numbers_of_its_group_alone(
    city: Path, build: Build, name_with: NameWith
) -> None:
    before = build()
    write(
        city / "37.05",
        *(name_with(utm_east="544980", **NOWHERE, heading="0", pano_id=f"new{number}") for number in range(4)),
    )
    after = build()
    (group,) = (
        read_table(after, "members").filter(read_table(after, "members")["path"].str.contains("new"))["group_index"]
    ).unique()
    shared = shared_files(before, after, "members")
    assert shared == {path.name for path in (after / "members").iterdir() if f"group-{group:06d}" not in path.name}


def test_images_of_other_partitions_come_in_with_a_class(city: Path, build: Build, name_with: NameWith) -> None:
    """Three images of a class lie in as many folders; a fourth brings them in, and goes again."""
    names = [name_with(utm_east="544960", **NOWHERE, heading="0", pano_id=f"few{number}") for number in range(4)]
    for number, name in enumerate(names[:3]):
        write(city / f"37.{5 * number:02d}", name)
    before = build()
    assert not read_table(before, "members")["path"].str.contains("few").any()
    write(city / "37.19", names[3])
    assert read_table(build(), "members")["path"].str.contains("few").sum() == 4
    (city / "37.19" / names[3]).unlink()
    assert build() == before


@pytest.mark.slow
def test_changes_of_all_kinds_in_a_row(city: Path, build: Build, name_with: NameWith) -> None:
    choose, seen, taken_over = random.Random(1), set(), 0
    for number in range(5):
        folders = sorted(path for path in city.iterdir() if any(path.iterdir()))
        for folder in choose.sample(folders, 2):
            for path in sorted(folder.iterdir())[:: choose.choice([1, 3, 7])]:
                change_image(path, choose)
        names = [image(name_with, 1000 * number + more, choose) for more in range(choose.randrange(30))]
        write(choose.choice(folders), *names)
        if number % 3 == 2:
            choose.choice(folders).rename(city / f"moved-{number}")
        groups = build(choose.choice([SETTINGS, SETTINGS, GroupSettings(N=3, alpha=90, min_images_per_class=2)]))
        taken_over += read_recipe(groups)["summary"]["files_from_before"]
        seen.add(groups)
    assert len(seen) == 5
    assert taken_over > 0


def change_image(path: Path, choose: random.Random) -> None:
    how = choose.randrange(3)
    if how == 0:
        path.unlink()
    elif how == 1:
        path.rename(path.with_name(path.name.replace("@545", "@546")))
    else:
        path.rename(path.with_name(path.name.replace(".jpg", "y.jpg")))


def test_another_least_number_of_images_takes_over_the_counts(
    city: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build()
    after = build(GroupSettings(N=3, alpha=90, min_images_per_class=5))
    assert shared_files(before, after, "class_counts") == {path.name for path in (after / "class_counts").iterdir()}


@pytest.mark.parametrize("other", [{"M": 12.0}, {"N": 4}, {"L": 3}, {"alpha": 45.0}, {"years": "2010-2011"}], ids=str)
def test_other_cells_or_groups_take_nothing_over(city: Path, build: Build, other: dict[str, Any]) -> None:
    before = build()
    after = build(GroupSettings(**{**SETTINGS.as_dict(), **other}))
    assert shared_files(before, after, "class_counts") == set()
    assert shared_files(before, after, "members") == set()


def test_years_are_told_apart_in_what_changed(city: Path, build: Build, name_with: NameWith) -> None:
    settings = GroupSettings(**{**SETTINGS.as_dict(), "years": "2010-2011"})
    before = build(settings)
    write(city / "37.03", *(name_with(timestamp=2012, pano_id=f"late{number}") for number in range(5)))
    after = build(settings)
    assert shared_files(before, after, "members") == {path.name for path in (after / "members").iterdir()}


def test_groups_whose_manifest_is_gone_take_nothing_over(city: Path, build: Build, tmp_path: Path) -> None:
    before = build()
    write(city / "37.05", "odd.jpg")
    images_of_large_classes(before, city)[0].unlink()
    build_manifest(city, tmp_path / "A")
    (old,) = (tmp_path / "A" / "manifest").glob(f"*/{read_recipe(before)['inputs']['manifest']}")
    shutil.rmtree(old)
    assert shared_files(before, build(), "members") == set()


@pytest.mark.parametrize("what", ["groups", "manifest"])
def test_earlier_groups_that_are_removed_meanwhile(
    city: Path,
    build: Build,
    tmp_path: Path,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = build()
    images_of_large_classes(before, city)[0].unlink()
    manifest = build_manifest(city, tmp_path / "A")
    gone = {
        "groups": before,
        "manifest": next((tmp_path / "A" / "manifest").glob(f"*/{read_recipe(before)['inputs']['manifest']}")),
    }[what]
    changes = earlier_module.changes

    def too_late(earlier: earlier_module.Earlier, files: list[Path]) -> list[earlier_module.Change]:
        found = changes(earlier, files)
        shutil.rmtree(gone)
        return found

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(group_tables, "changes", too_late)
    assert build_groups(manifest, tmp_path / "A", SETTINGS).is_dir()
    assert f"{before} has been removed meanwhile: nothing is taken over from it" in caplog.text
    build()


def test_more_changed_than_not_compares_nothing(
    city: Path, build: Build, name_with: NameWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build()
    for folder in sorted(city.iterdir())[:18]:
        write(folder, name_with(pano_id=folder.name))
    monkeypatch.setattr(group_tables, "changed_classes", None)
    assert shared_files(before, build(), "members") == set()
