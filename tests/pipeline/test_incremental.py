"""Manifest and groups after a change of the images: the same bytes as from nothing, and unchanged files are linked."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from tests.helpers import tables_in
from tests.pipeline.conftest import small_files, write

NameWith = Callable[..., str]
SETTINGS = GroupSettings(N=3, alpha=90, min_images_per_class=4)
ROWS_PER_FILE, ROWS_PER_PARTITION = 20, 80
HUGE_FOLDER = "37.07"
REUSED = {"manifest": "partitions_from_before", "groups": "files_from_before"}
NOWHERE = {"latitude": "", "longitude": ""}


@dataclass(frozen=True)
class Built:
    """The artifacts of one build."""

    manifest: Path
    groups: Path

    def images(self, city: Path, large: bool = True) -> list[Path]:
        """Return the images of classes that stay large enough without one of them, or do not."""
        members, classes = (read_table(self.groups, table) for table in ("members", "classes"))
        sizes = classes.select("group_index", "class_index", "num_images")
        enough = pl.col("num_images") > SETTINGS.min_images_per_class
        found = members.join(sizes, on=["group_index", "class_index"]).filter(enough == large)
        return [city / path for path in found["path"]]


Build = Callable[..., Built]


def image(name_with: NameWith, number: int, choose: random.Random, **fields: Any) -> str:
    """Return a name in a street of cells, where a class has about four images."""
    place = {"utm_east": 545_000 + 10 * choose.randrange(20), "heading": choose.choice([0, 100, 200, ""])}
    return name_with(**{**place, "timestamp": 2010 + number % 3, "pano_id": number, **fields})


@pytest.fixture(scope="module", autouse=True)
def _small_files() -> Iterator[None]:
    with small_files(ROWS_PER_PARTITION, ROWS_PER_FILE):
        yield


@pytest.fixture
def city(tmp_path: Path, an_hour_passes: Callable[[], None]) -> Path:
    """Return a folder for images."""
    an_hour_passes()
    return tmp_path / "city" / "train"


def build_both(city: Path, artifacts: Path, settings: GroupSettings = SETTINGS) -> Built:
    manifest = build_manifest(city, artifacts, "city")
    return Built(manifest, build_groups(manifest, artifacts, settings))


@pytest.fixture(scope="module")
def built_street(tmp_path_factory: pytest.TempPathFactory, name_with: NameWith) -> Path:
    """Return a folder with 200 images of a street in 20 folders, one of them huge, some rejects, and the artifacts."""
    choose, root = random.Random(0), tmp_path_factory.mktemp("street")
    city = root / "city" / "train"
    for number in range(200):
        folder = HUGE_FOLDER if number % 3 == 0 else f"37.{number % 20:02d}"
        write(city / folder, image(name_with, number, choose))
        if number % 5 == 0:
            write(city / folder, "odd.jpg")
    build_both(city, root / "A")
    return root


@pytest.fixture
def street(city: Path, built_street: Path, tmp_path: Path) -> Path:
    """Return the folder of a copy of the street, whose artifacts are in tmp_path/A."""
    shutil.copytree(built_street, tmp_path, symlinks=True, copy_function=os.link, dirs_exist_ok=True)
    return city


@pytest.fixture
def build(city: Path, tmp_path: Path) -> Build:
    """Build manifest and groups in tmp_path/A, and check all bytes and names against a build from nothing."""

    def build(settings: GroupSettings = SETTINGS, check: bool = True) -> Built:
        built = [build_both(city, tmp_path / artifacts, settings) for artifacts in (("A", "B") if check else ("A",))]
        if not check:
            return built[0]
        for stage, reused in REUSED.items():
            ours, from_nothing = (getattr(each, stage) for each in built)
            assert ours.name == from_nothing.name
            assert tables_in(ours) == tables_in(from_nothing) != {}
            summaries = [read_recipe(artifact)["summary"] for artifact in (ours, from_nothing)]
            assert summaries[1][reused] == 0
            for summary in summaries:
                del summary[reused]
                summary.pop("origin", None)  # a street that was copied was elsewhere
            assert summaries[0] == summaries[1]
        shutil.rmtree(tmp_path / "B")
        return built[0]

    return build


def rebuilt(before: Path, after: Path, table: str) -> set[str]:
    """Return the names of the files of a table that are not links to files of an earlier artifact."""
    inodes = {path.stat().st_ino for path in (before / table).iterdir()}
    return {path.name for path in (after / table).iterdir() if path.stat().st_ino not in inodes}


def add_an_image(city: Path, built: Built, name_with: NameWith) -> None:
    image = built.images(city)[0]
    write(image.parent, image.name.replace(".jpg", "z.jpg"))


def remove_an_image(city: Path, built: Built, name_with: NameWith) -> None:
    built.images(city)[0].unlink()


def rename_an_image_within_its_class(city: Path, built: Built, name_with: NameWith) -> None:
    image = built.images(city)[0]
    image.rename(image.with_name(image.name.replace(".jpg", "z.jpg")))


def make_an_image_a_reject(city: Path, built: Built, name_with: NameWith) -> None:
    image = built.images(city)[0]
    image.rename(image.with_name("rejected.jpg"))


def move_an_image_to_another_folder(city: Path, built: Built, name_with: NameWith) -> None:
    image = built.images(city)[0]
    image.rename(city / "37.19" / image.name)


def add_an_image_to_the_huge_folder(city: Path, built: Built, name_with: NameWith) -> None:
    write(city / HUGE_FOLDER, built.images(city)[0].name.replace(".jpg", "z.jpg"))


def add_an_image_of_a_class_that_stays_too_small(city: Path, built: Built, name_with: NameWith) -> None:
    write(city / "37.05", name_with(utm_east="600000", **NOWHERE, pano_id="far"))


def add_an_image_without_a_heading(city: Path, built: Built, name_with: NameWith) -> None:
    write(city / "37.05", name_with(utm_east="545000", heading="", pano_id="without"))


def add_a_reject(city: Path, built: Built, name_with: NameWith) -> None:
    write(city / "37.05", "rejected.jpg")


def add_a_class_before_all_others_of_its_group(city: Path, built: Built, name_with: NameWith) -> None:
    names = (name_with(utm_east="544980", **NOWHERE, heading="0", pano_id=f"new{number}") for number in range(4))
    write(city / "37.05", *names)


def remove_an_image_so_that_its_class_is_too_small(city: Path, built: Built, name_with: NameWith) -> None:
    built.images(city, large=False)[0].unlink()


def add_a_folder(city: Path, built: Built, name_with: NameWith) -> None:
    write(city / "38.0" / "new", built.images(city)[0].name.replace(".jpg", "z.jpg"))


def remove_a_folder(city: Path, built: Built, name_with: NameWith) -> None:
    shutil.rmtree(city / "37.05")


def rename_a_folder(city: Path, built: Built, name_with: NameWith) -> None:
    (city / "37.05").rename(city / "38.5")


Apply = Callable[[Path, Built, NameWith], None]
# How many partitions at most, how many files of members, and the files of how many groups are rebuilt; None: any.
CHANGES: tuple[tuple[Apply, int, int | None, int | None], ...] = (
    (add_an_image, 1, 1, 1),
    (remove_an_image, 1, 1, 1),
    (rename_an_image_within_its_class, 1, 1, 1),
    (make_an_image_a_reject, 1, 1, 1),
    (move_an_image_to_another_folder, 3, 1, 1),
    (add_an_image_to_the_huge_folder, 1, 1, 1),
    (add_an_image_of_a_class_that_stays_too_small, 1, 0, 0),
    (add_an_image_without_a_heading, 1, 0, 0),
    (add_a_reject, 1, 0, 0),
    (add_a_class_before_all_others_of_its_group, 1, None, 1),
    (remove_an_image_so_that_its_class_is_too_small, 1, None, 1),
    (add_a_folder, 2, None, 1),
    (remove_a_folder, 1, None, None),
    (rename_a_folder, 3, None, None),
)


@pytest.mark.parametrize(
    ("change", "partitions", "files", "groups"), CHANGES, ids=[change.__name__ for change, *_ in CHANGES]
)
def test_only_what_a_change_concerns_is_rebuilt(
    street: Path,
    build: Build,
    name_with: NameWith,
    change: Apply,
    partitions: int,
    files: int | None,
    groups: int | None,
) -> None:
    before = build(check=False)
    assert len(list((before.manifest / "manifest").iterdir())) > 4
    assert len(list((before.groups / "members").iterdir())) > 4
    change(street, before, name_with)
    after = build()
    assert after.manifest != before.manifest
    for table in ("manifest", "rejects"):
        assert len(rebuilt(before.manifest, after.manifest, table)) <= partitions
    assert len(rebuilt(before.groups, after.groups, "class_counts")) <= partitions
    new_files = rebuilt(before.groups, after.groups, "members")
    assert files is None or len(new_files) == files
    assert groups is None or len({name.split("-")[1] for name in new_files}) == groups
    num_files = len(list((after.groups / "members").iterdir()))
    assert read_recipe(after.groups)["summary"]["files_from_before"] == num_files - len(new_files)


def test_an_undone_change_gives_the_artifacts_of_before(street: Path, build: Build, name_with: NameWith) -> None:
    before = build(check=False)
    write(street / "38.0", name_with())
    assert build() != before
    shutil.rmtree(street / "38.0")
    assert build() == before


def test_a_class_that_becomes_large_enough_gets_its_images_from_all_partitions(
    street: Path, build: Build, name_with: NameWith
) -> None:
    names = [
        name_with(utm_east="544960", **NOWHERE, heading="0", timestamp=2010 + number, pano_id=f"few{number}")
        for number in range(4)
    ]
    for number, name in enumerate(names[:3]):
        write(street / f"37.{5 * number:02d}", name)
    before = build(check=False)
    few = pl.col("path").str.contains("few")
    assert read_table(before.groups, "members").filter(few).is_empty()
    write(street / "37.19", names[3])
    assert read_table(build().groups, "members").filter(few)["year"].sort().to_list() == [2010, 2011, 2012, 2013]
    (street / "37.19" / names[3]).unlink()
    assert build() == before


def test_another_minimum_per_class_reuses_all_counts_and_the_classes(street: Path, build: Build) -> None:
    before = build(check=False)
    after = build(GroupSettings(N=3, alpha=90, min_images_per_class=5))
    assert rebuilt(before.groups, after.groups, "class_counts") == set()


@pytest.mark.parametrize("other", [{"M": 12.0}, {"N": 4}, {"L": 3}, {"alpha": 45.0}, {"years": "2010-2011"}], ids=str)
def test_other_cells_groups_or_years_reuse_nothing(street: Path, build: Build, other: dict[str, Any]) -> None:
    before = build(check=False)
    after = build(GroupSettings(**{**SETTINGS.as_dict(), **other}))
    for table in ("class_counts", "members"):
        assert rebuilt(before.groups, after.groups, table) == {path.name for path in (after.groups / table).iterdir()}


def test_images_of_years_that_are_left_out_rebuild_no_members(street: Path, build: Build, name_with: NameWith) -> None:
    settings = GroupSettings(**{**SETTINGS.as_dict(), "years": "2010-2011"})
    before = build(settings, check=False)
    write(street / "37.03", *(name_with(timestamp=2012, pano_id=f"late{number}") for number in range(5)))
    assert rebuilt(before.groups, build(settings).groups, "members") == set()


FRAMES: list[tuple[object, str]] = [("", ""), (10, "S"), (10, ""), ("", "S"), (11, "S"), (10, "H")]


@pytest.fixture
def named(name_with: NameWith) -> Callable[..., str]:
    """Return a function that returns a name with a zone and a band, and without latitude and longitude."""

    def named(number: int, frame: tuple[object, str], **fields: object) -> str:
        zone, band = frame
        return name_with(**{**NOWHERE, "utm_zone": zone, "utm_band": band, "pano_id": number, **fields})

    return named


def fill_cells(city: Path, named: Callable[..., str], frame_of: Callable[[int], tuple[object, str]]) -> None:
    """Write eight images to each of 15 cells, over twelve folders."""
    for number in range(120):
        place = {"utm_east": 545_005 + 50 * (number % 15), "heading": number // 60 * 60}
        write(city / f"{number % 12}", named(number, frame_of(number), **place))


def test_a_second_zone_in_a_cell_separates_its_images(city: Path, build: Build, named: Callable[..., str]) -> None:
    """The new image has another heading and partition than those whose class it changes."""
    fill_cells(city, named, lambda number: (10, "S") if number % 2 else ("", ""))
    before = build(GroupSettings(min_images_per_class=1), check=False)
    assert read_table(before.groups, "classes").select("utm_zone", "hemisphere").unique().rows() == [(10, "N")]
    new = named(999, (11, "S"), utm_east=545_005, heading=300)
    write(city / "new", new)
    classes = read_table(build(GroupSettings(min_images_per_class=1)).groups, "classes")
    in_cell = classes.filter(pl.col("cell_east") == 54500).select("utm_zone", "heading_bin").rows()
    assert set(in_cell) == {(zone, heading_bin) for zone in (10, None) for heading_bin in (0, 2)} | {(11, 10)}
    assert classes.filter(pl.col("cell_east") != 54500)["utm_zone"].unique().to_list() == [10]
    (city / "new" / new).unlink()
    assert build(GroupSettings(min_images_per_class=1)) == before


def test_the_only_known_zone_is_removed(city: Path, build: Build, named: Callable[..., str]) -> None:
    fill_cells(city, named, lambda number: (10, "S") if number == 7 else ("", ""))
    build(check=False)
    next(city.rglob("*@10@S@*")).unlink()
    assert read_table(build().groups, "classes")["utm_zone"].null_count() > 0


def change_at_random(path: Path, choose: random.Random) -> None:
    how = choose.randrange(3)
    if how == 0:
        path.unlink()
    else:
        old, new = (("@545", "@546"), (".jpg", "y.jpg"))[how - 1]
        path.rename(path.with_name(path.name.replace(old, new)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_changes_of_all_kinds_in_a_row(street: Path, build: Build, named: Callable[..., str], seed: int) -> None:
    choose, seen, reused = random.Random(seed), set(), 0
    for number in range(5):
        folders = sorted(path for path in street.iterdir() if any(path.iterdir()))
        for path in sorted(choose.choice(folders).iterdir())[:: choose.choice([1, 3, 7])]:
            change_at_random(path, choose)
        for more in range(choose.randrange(10)):
            place = {"utm_east": 545_000 + 10 * choose.randrange(20), "heading": choose.choice([0, 100, 200, ""])}
            name = named(1000 * number + more, choose.choice(FRAMES), timestamp=2010 + more % 3, **place)
            write(choose.choice(folders), name)
        if number % 3 == 2:
            choose.choice([path for path in folders if path.exists()]).rename(street / f"moved-{number}")
        built = build(choose.choice([SETTINGS, SETTINGS, GroupSettings(N=3, alpha=90, min_images_per_class=2)]))
        reused += read_recipe(built.groups)["summary"]["files_from_before"]
        seen.add(built.groups)
    assert len(seen) == 5
    assert reused > 0
