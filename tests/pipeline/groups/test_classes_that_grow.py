"""A class that reaches enough images through a new year, and one that falls below: as if built from nothing."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.manifest.build_manifest import build_manifest
from tests.helpers import current_tables

NameWith = Callable[..., str]
EASTS = {"few": "545901.00", "many": "545951.00", "steady": "546001.00"}  # 50 metres apart: classes of one group


@pytest.fixture
def city(tmp_path: Path, name_with: NameWith, an_hour_passes: Callable[[], None]) -> Path:
    """Nine images of one class, ten of another and thirty of a third, from two years."""
    for place, count in (("few", 9), ("many", 10), ("steady", 30)):
        for number in range(count):
            add(tmp_path / "city" / "train", name_with, place, 2014 + number % 2, number)
    an_hour_passes()
    return tmp_path / "city" / "train"


def add(train: Path, name_with: NameWith, place: str, year: int, number: int) -> Path:
    name = name_with(utm_east=EASTS[place], latitude="", longitude="", timestamp=year, pano_id=f"{place}{number}")
    (train / str(year)).mkdir(parents=True, exist_ok=True)
    (train / str(year) / name).touch()
    return train / str(year) / name


@pytest.fixture
def build(city: Path, tmp_path: Path) -> Callable[[], Path]:
    """Build manifest and groups in tmp_path/A, and check all bytes against a build from nothing."""

    def build() -> Path:
        groups = build_groups(build_manifest(city, tmp_path / "A"), tmp_path / "A")
        build_groups(build_manifest(city, tmp_path / "B"), tmp_path / "B")
        assert current_tables(tmp_path / "A") == current_tables(tmp_path / "B") != {}
        shutil.rmtree(tmp_path / "B")
        return groups

    return build


def members_of(groups: Path) -> dict[int, list[str]]:
    """How the panoramas of each class begin, by class number, checked to be of one group."""
    members = read_table(groups, "members")
    assert members["group_index"].n_unique() == 1
    panos = members.with_columns(pl.col("path").str.split("@").list.get(7))
    return {number: sorted(part["path"]) for (number,), part in panos.group_by("class_index")}


def panos(place: str, count: int) -> list[str]:
    return sorted(f"{place}{number}" for number in range(count))


def test_a_tenth_image_of_a_new_year_brings_the_old_ones_in(
    city: Path, build: Callable[[], Path], name_with: NameWith
) -> None:
    before = build()
    assert members_of(before) == {0: panos("many", 10), 1: panos("steady", 30)}
    new = add(city, name_with, "few", 2021, 9)
    after = build()
    assert members_of(after) == {0: panos("few", 10), 1: panos("many", 10), 2: panos("steady", 30)}
    years = read_table(after, "members").filter(pl.col("class_index") == 0)["year"]
    assert sorted(years) == [2014] * 5 + [2015] * 4 + [2021]
    new.unlink()
    assert build() == before


def test_a_class_that_falls_below_drops_out(city: Path, build: Callable[[], Path]) -> None:
    before = build()
    gone = next((city / "2015").glob("*@many*"))
    gone.unlink()
    assert members_of(build()) == {0: panos("steady", 30)}
    gone.touch()
    assert build() == before


def test_one_comes_in_as_another_drops_out(city: Path, build: Callable[[], Path], name_with: NameWith) -> None:
    build()
    shutil.rmtree(city / "2014")
    for number in range(9, 15):
        add(city, name_with, "few", 2022, number)
    few, steady = (members_of(build())[number] for number in (0, 1))
    assert len(few) == 4 + 6
    assert len(steady) == 15


def test_changes_of_all_kinds_in_a_row(city: Path, build: Callable[[], Path], name_with: NameWith) -> None:
    choose, seen = random.Random(5), set()
    for number in range(10):
        images = sorted(city.rglob("*.jpg"))
        for image in choose.sample(images, 5):
            if choose.random() < 0.5:
                image.unlink()
            else:
                image.rename(image.with_name(image.name.replace("@S@", "@T@")))
        for more in range(choose.randrange(8)):
            add(city, name_with, choose.choice([*EASTS]), 2016 + number, 100 * number + more)
        folder = choose.choice([path for path in sorted(city.iterdir()) if any(path.iterdir())])
        folder.rename(folder.with_name(f"{folder.name}-{number}"))
        seen.add(build())
    assert len(seen) == 10
