"""Images of a cell that lack the zone or the hemisphere take the one of the others: one class, however it was built."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_manifest.tables import read_table
from pipeline.groups import gather as members
from pipeline.groups.build_groups import build_groups
from pipeline.groups.cells import CLASS_KEY
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from pipeline.planning.count_images import count_images
from pipeline.planning.plan_groups import EpochSettings, plan_groups
from tests.helpers import tables_in
from tests.pipeline.conftest import write

NameWith = Callable[..., str]
Frame = tuple[object, str]
SETTINGS = GroupSettings(min_images_per_class=1)


@pytest.fixture
def named(name_with: NameWith) -> Callable[..., str]:
    """A name in the cell of San Francisco or another, with a zone and a band, and without latitude and longitude."""

    def named(number: int, zone: object, band: str, **fields: object) -> str:
        at = {"utm_zone": zone, "utm_band": band, "latitude": "", "longitude": "", "pano_id": number}
        return name_with(**{**at, **fields})

    return named


def classes_of(groups: Path) -> dict[tuple[int | None, str | None], int]:
    rows = read_table(groups, "classes").select("utm_zone", "hemisphere", "num_images").iter_rows()
    return {(zone, half): count for zone, half, count in rows}


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([(10, "S"), ("", "")], {(10, "N"): 2}),
        ([(10, "S"), (10, "")], {(10, "N"): 2}),
        ([(10, "S"), ("", "S")], {(10, "N"): 2}),
        ([(10, ""), ("", "S")], {(10, "N"): 2}),
        ([(10, ""), ("", "")], {(10, None): 2}),
        ([("", "S"), ("", "")], {(None, "N"): 2}),
        ([("", ""), ("", "")], {(None, None): 2}),
        ([(10, "S"), (10, "T"), ("", "")], {(10, "N"): 3}),
        ([(10, "S"), (11, "S"), ("", "")], {(10, "N"): 1, (11, "N"): 1, (None, None): 1}),
        ([(10, "S"), (11, "S"), ("", "S"), ("", "")], {(10, "N"): 1, (11, "N"): 1, (None, "N"): 2}),
        ([(10, "S"), (10, "H"), (10, "")], {(10, "N"): 1, (10, "S"): 1, (10, None): 1}),
        ([(10, "S"), (10, "H"), ("", "")], {(10, "N"): 1, (10, "S"): 1, (10, None): 1}),
        ([(10, "S"), (11, ""), ("", "")], {(10, "N"): 1, (11, None): 1, (None, None): 1}),
    ],
)
def test_classes_of_one_cell(
    frames: list[Frame], expected: dict[Frame, int], named: Callable[..., str], tmp_path: Path
) -> None:
    write(tmp_path / "train", *(named(number, *frame) for number, frame in enumerate(frames)))
    manifest = build_manifest(tmp_path / "train", tmp_path / "A", strict=False)
    assert classes_of(build_groups(manifest, tmp_path / "A", SETTINGS)) == expected
    count = count_images(manifest, tmp_path / "A", [SETTINGS]).by_class.values()
    assert {(row["utm_zone"], row["hemisphere"]) for each in count for row in each.to_dicts()} == set(expected)


def test_a_cell_gives_its_zone_to_all_directions_and_to_no_other_cell(
    named: Callable[..., str], tmp_path: Path
) -> None:
    names = [
        named(1, 10, "S", heading=30),
        named(2, "", "", heading=200),
        named(3, "", "", heading=30, utm_east=546000),
    ]
    names += [named(4, 11, "S", heading="", utm_east=546000)]  # without a heading it is in no class
    names += [named(5, "", "", utm_east=546010)]
    write(tmp_path / "train", *names)
    groups = build_groups(build_manifest(tmp_path / "train", tmp_path / "A"), tmp_path / "A", SETTINGS)
    found = read_table(groups, "classes").sort("cell_east", "heading_bin").select(*CLASS_KEY[:3], "heading_bin").rows()
    assert found == [(10, "N", 54598, 1), (10, "N", 54598, 6), (11, "N", 54600, 1), (None, None, 54601, 5)]


def test_members_of_a_class_stay_in_order(named: Callable[..., str], tmp_path: Path) -> None:
    names = [named(number, 10 if number % 2 else "", "S" if number % 3 else "") for number in range(30)]
    write(tmp_path / "train", *names)
    groups = build_groups(build_manifest(tmp_path / "train", tmp_path / "A"), tmp_path / "A", SETTINGS)
    assert read_table(groups, "members")["path"].to_list() == sorted(names)


@pytest.fixture
def city(tmp_path: Path, rows_per_partition: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to fill; partitions and files of few rows."""
    rows_per_partition(12)
    monkeypatch.setattr(members, "ROWS_PER_FILE", 20)
    return tmp_path / "city" / "train"


@pytest.fixture
def build(city: Path, tmp_path: Path) -> Callable[[], Path]:
    """Build the groups with those of before at hand, and check their bytes against a build from nothing."""

    def build() -> Path:
        groups = build_groups(build_manifest(city, tmp_path / "A"), tmp_path / "A", SETTINGS)
        from_nothing = build_groups(build_manifest(city, tmp_path / "B"), tmp_path / "B", SETTINGS)
        assert tables_in(groups) == tables_in(from_nothing)
        shutil.rmtree(tmp_path / "B")
        return groups

    return build


def fill(city: Path, named: Callable[..., str], frame: Callable[[int], Frame]) -> None:
    for number in range(120):
        east = 545_005 + 50 * (number % 15)
        write(city / f"{number % 12}", named(number, *frame(number), utm_east=east, heading=number // 60 * 60))


def test_a_second_zone_that_comes_into_a_cell_parts_its_images_again(
    city: Path, build: Callable[[], Path], named: Callable[..., str], an_hour_passes: Callable[[], None]
) -> None:
    """The image that comes is of another direction and partition than those whose class it changes."""
    fill(city, named, lambda number: (10, "S") if number % 2 else ("", ""))
    an_hour_passes()
    before = build()
    assert set(classes_of(before)) == {(10, "N")}
    new = city / "new" / named(999, 11, "S", utm_east=545_005, heading=300)
    write(new.parent, new.name)
    after = build()
    shown = read_table(after, "classes").filter(pl.col("cell_east") == 54500)
    assert set(shown.select("utm_zone", "heading_bin").rows()) == {(zone, h) for zone in (10, None) for h in (0, 2)} | {
        (11, 10)
    }
    others = read_table(after, "classes").filter(pl.col("cell_east") != 54500)
    assert others["utm_zone"].unique().to_list() == [10]
    new.unlink()
    assert build() == before


def test_the_only_known_zone_that_goes(
    city: Path, build: Callable[[], Path], named: Callable[..., str], an_hour_passes: Callable[[], None]
) -> None:
    fill(city, named, lambda number: (10, "S") if number == 7 else ("", ""))
    an_hour_passes()
    build()
    image = next(city.rglob("*@10@S@*"))
    image.unlink()
    assert read_table(build(), "classes")["utm_zone"].null_count() > 0
    image.touch()
    build()


def test_changes_of_all_kinds_in_a_row(
    city: Path, build: Callable[[], Path], named: Callable[..., str], an_hour_passes: Callable[[], None]
) -> None:
    choose = random.Random(3)
    frames: list[Any] = [("", ""), (10, "S"), (10, ""), ("", "S"), (11, "S"), (10, "H")]
    fill(city, named, lambda number: choose.choice(frames[:4]))
    an_hour_passes()
    for number in range(4):
        for image in choose.sample(sorted(city.rglob("*.jpg")), 3):
            image.unlink()
        for more in range(choose.randrange(4)):
            east, heading = 545_005 + 50 * choose.randrange(15), choose.randrange(360)
            name = named(1000 + 10 * number + more, *choose.choice(frames), utm_east=east, heading=heading)
            write(city / str(choose.randrange(12)), name)
        build()


def test_partitions_change_nothing(
    city: Path, named: Callable[..., str], tmp_path: Path, rows_per_partition: Callable[[int], None]
) -> None:
    choose = random.Random(4)
    fill(city, named, lambda number: choose.choice([("", ""), (10, "S"), (10, "")]))
    tables = []
    for rows in (5, 40, 1000):
        rows_per_partition(rows)
        manifest = build_manifest(city, tmp_path / str(rows))
        groups = build_groups(manifest, tmp_path / str(rows), SETTINGS)
        tables.append([read_table(groups, table) for table in ("classes", "members")])
        _, (plan,) = plan_groups(city, tmp_path / "none", [SETTINGS], EpochSettings())
        assert plan.summary["classes"] == len(tables[-1][0])
    assert all(one.equals(other) for each in tables for one, other in zip(each, tables[0], strict=True))
