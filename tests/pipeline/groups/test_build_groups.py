import itertools
import logging
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_manifest.errors import UserError
from data_manifest.store.find import list_current
from data_manifest.store.recipe import Recipe, is_published, read_recipe
from data_manifest.tables import read_table
from pipeline.groups import preselected_images as selection
from pipeline.groups.build_groups import build_groups, groups_recipe
from pipeline.groups.settings import GroupSettings
from pipeline.listing.list_images import Listing
from pipeline.manifest import build_manifest as manifest_module
from pipeline.manifest.build_manifest import build_manifest
from pipeline.planning.plan_groups import EpochSettings, plan_groups
from tests.helpers import tables_in

NameWith = Callable[..., str]
ListingOf = Callable[..., Listing]
Manifest = Callable[..., Path]
FEW: dict[str, Any] = {"min_images_per_class": 1}


@pytest.fixture
def manifest(tmp_path: Path, listing_of: ListingOf) -> Manifest:
    """Return a function that publishes the manifest of names in tmp_path/artifacts."""

    def manifest(names: list[str], artifacts: str = "A") -> Path:
        return build_manifest(tmp_path, tmp_path / artifacts, "city", strict=False, listing=listing_of(names))

    return manifest


@pytest.fixture
def group(manifest: Manifest) -> Callable[..., Path]:
    """Return a function that groups names and returns the folder of the artifact."""

    def group(names: list[str], artifacts: str = "A", **values: Any) -> Path:
        folder = manifest(names, artifacts)
        return build_groups(folder, folder.parents[2], GroupSettings(**{**FEW, **values}))

    return group


def random_images(name_with: NameWith, count: int, seed: int, **always: object) -> dict[str, dict[str, Any]]:
    """Return names in a small area with their fields: on borders, negative, without fields, with odd headings."""
    choose = random.Random(seed)
    images = {}
    for number in range(count):
        fields: dict[str, Any] = {
            "utm_east": choose.choice([choose.randrange(-5, 5) * 10, round(choose.uniform(-50, 50), 2)]),
            "utm_north": choose.choice([choose.randrange(-5, 5) * 10, round(choose.uniform(-50, 50), 2)]),
            "utm_zone": choose.choice([10, 10, 11, ""]),
            "utm_band": choose.choice(["S", "T", "H", ""]),
            "latitude": choose.choice([37.8, -37.8, 0, ""]),
            "heading": choose.choice(
                [*range(0, 361, 30), 359.99, -90, "", -1, -1e-18, round(choose.uniform(0, 360), 2)]
            ),
            "timestamp": choose.choice(["2014", ""]),
            **always,
        }
        images[name_with(**fields, pano_id=number, longitude="")] = fields
    return images


def cell_of(image: dict[str, Any], side: float) -> tuple[int, int]:
    return math.floor(image["utm_east"] / side), math.floor(image["utm_north"] / side)


def frames_of(images: Iterable[dict[str, Any]], side: float) -> list[tuple[int | None, str | None]]:
    """Return the zone and hemisphere of each image: its own, else the only one in its cell."""
    cells = [cell_of(image, side) for image in images]
    zones: list[int | None] = [image["utm_zone"] or None for image in images]
    halves: list[str | None] = []
    for image in images:
        north = image["utm_band"] >= "N" if image["utm_band"] else image["latitude"] != "" and image["latitude"] >= 0
        unknown = not image["utm_band"] and image["latitude"] == ""
        halves.append(None if unknown else "N" if north else "S")
    zones = [only(zone, cell, cells, zones) for zone, cell in zip(zones, cells, strict=True)]
    places = list(zip(zones, cells, strict=True))
    halves = [only(half, place, places, halves) for half, place in zip(halves, places, strict=True)]
    return list(zip(zones, halves, strict=True))


def only(value: Any, place: Any, places: list[Any], values: list[Any]) -> Any:
    known = {each for where, each in zip(places, values, strict=True) if where == place and each is not None}
    return known.pop() if value is None and len(known) == 1 else value


def group_in_plain_python(
    images: dict[str, dict[str, Any]], settings: GroupSettings
) -> dict[int, dict[tuple[Any, ...], set[str]]]:
    """Return the names by group and class."""
    groups: dict[int, dict[tuple[Any, ...], set[str]]] = defaultdict(lambda: defaultdict(set))
    frames = frames_of(images.values(), settings.M)
    for image_frame, (name, image) in zip(frames, images.items(), strict=True):
        heading = None if image["heading"] == "" else image["heading"] % 360 % 360  # -90 is there, so -1 is 359
        if heading is None and settings.alpha < 360:
            continue
        bin_of_heading = 0 if settings.alpha == 360 or heading is None else math.floor(heading / settings.alpha)
        cell_east, cell_north = cell_of(image, settings.M)
        u, v, w = cell_east % settings.N, cell_north % settings.N, bin_of_heading % settings.L
        key = (*image_frame, cell_east, cell_north, bin_of_heading)
        groups[(u * settings.N + v) * settings.L + w][key].add(name)
    return groups


def grouped(folder: Path) -> dict[int, dict[tuple[Any, ...], set[str]]]:
    """Return the names by group and class of the tables, after checking that these agree with each other."""
    groups: dict[int, dict[tuple[Any, ...], set[str]]] = defaultdict(dict)
    names: dict[tuple[int, int], set[str]] = defaultdict(set)
    for number, index, path, _ in read_table(folder, "members").iter_rows():
        assert path not in names[number, index]
        names[number, index].add(path)
    for number, index, *key, num_images in read_table(folder, "classes").iter_rows():
        assert index == len(groups[number])  # 0..C-1 within the group
        assert num_images == len(names[number, index])
        groups[number][tuple(key)] = names.pop((number, index))
    assert not names
    return groups


SETTINGS = [
    {},
    {"M": 7.5, "alpha": 22.5, "N": 3, "L": 4},
    {"M": 10, "alpha": 7.2, "N": 2, "L": 5},
    {"M": 20, "alpha": 100, "N": 2, "L": 2},
    {"M": 0.5, "alpha": 30, "N": 7, "L": 12},
    {"M": 15, "alpha": 360, "N": 3, "L": 1},
    {"M": 10, "alpha": 360, "N": 2, "L": 3},
    {"M": 25, "alpha": 60, "N": 1, "L": 1},
]


@pytest.mark.parametrize("values", SETTINGS, ids=str)
def test_groups_equal_those_of_plain_python(
    group: Callable[..., Path], name_with: NameWith, values: dict[str, Any]
) -> None:
    images = random_images(name_with, 600, seed=len(str(values)))
    expected = group_in_plain_python(images, GroupSettings(**values))
    found = grouped(group(list(images), **values))
    assert found == expected
    assert {key[:2] for classes in found.values() for key in classes} == {
        (zone, half) for zone in (10, 11, None) for half in ("N", "S", None)
    }


@pytest.mark.parametrize("minimum", [2, 3, 5])
def test_classes_with_too_few_images_are_left_out(
    group: Callable[..., Path], name_with: NameWith, minimum: int
) -> None:
    images = random_images(name_with, 400, seed=3, utm_zone=10, utm_band="S")
    settings = GroupSettings(M=20, alpha=60, N=2, L=2, min_images_per_class=minimum)
    expected = {
        number: {key: names for key, names in classes.items() if len(names) >= minimum}
        for number, classes in group_in_plain_python(images, settings).items()
    }
    folder = group(list(images), **settings.as_dict())
    assert grouped(folder) == {number: classes for number, classes in expected.items() if classes}
    kept = [names for classes in expected.values() for names in classes.values()]
    summary = read_recipe(folder)["summary"]
    assert (summary["classes"], summary["images"]) == (len(kept), sum(map(len, kept)))
    left_out = [names for classes in group_in_plain_python(images, settings).values() for names in classes.values()]
    left_out = [names for names in left_out if len(names) < minimum]
    assert summary["classes_with_too_few_images"] == len(left_out)
    assert summary["images_in_them"] == sum(map(len, left_out))
    assert summary["images_without_heading"] == sum(image["heading"] == "" for image in images.values())


@pytest.mark.parametrize(
    "values",
    [
        {"M": 10, "alpha": 30, "N": 5, "L": 2},
        {"M": 10, "alpha": 30, "N": 3, "L": 3},
        {"M": 7.5, "alpha": 22.5, "N": 2, "L": 4},
        {"M": 20, "alpha": 7.2, "N": 2, "L": 10},
        {"M": 10, "alpha": 30, "N": 1, "L": 6},
        {"M": 10, "alpha": 360, "N": 4, "L": 1},
        {"M": 5, "alpha": 30, "N": 2, "L": 12},
    ],
    ids=str,
)
def test_classes_of_a_group_are_far_apart(
    group: Callable[..., Path], name_with: NameWith, values: dict[str, Any]
) -> None:
    """Images of different classes of a group are M(N-1) metres or alpha(L-1) degrees apart, within a frame."""
    images = random_images(name_with, 500, seed=4)
    metres, degrees = values["M"] * (values["N"] - 1), values["alpha"] * (values["L"] - 1)
    compared = 0
    for classes in grouped(group(list(images), **values)).values():
        for (one, names), (other, others) in itertools.combinations(classes.items(), 2):
            for a, b in itertools.product(names, others) if one[:2] == other[:2] else ():
                compared += 1
                distance, turn = apart(images[a], images[b])
                assert distance >= metres - 1e-9 or turn >= degrees - 1e-9, (a, b)
                assert distance > 0 or turn > 0
    assert compared > 100


def apart(one: dict[str, Any], other: dict[str, Any]) -> tuple[float, float]:
    """Return the metres and degrees between two images; 0 degrees if a heading is missing."""
    distance = math.dist((one["utm_east"], one["utm_north"]), (other["utm_east"], other["utm_north"]))
    if "" in (one["heading"], other["heading"]):
        return distance, 0.0
    turn = abs(one["heading"] - other["heading"]) % 360
    return distance, min(turn, 360 - turn)


KNOWN = {
    "@0545981.19@4184971.70@10@S@037.81098@-122.47762@rtCs5-P_9NGDzUbKyzStWA@@174@@@@201409@@.jpg": (3, 2, 1),
    "@0544388.51@4172758.25@10@S@037.70098@-122.49646@kPnABhWJ1kA61eMNPLs1vQ@@210@@@@201606@@.jpg": (3, 0, 1),
    "@0544204.32@4173406.33@10@S@037.70683@-122.49851@TYcjxIohRl--XFaR4OgdxA@@0@@@@201910@@.jpg": (0, 0, 0),
    "@0543037.38@4180974.80@10@S@037.77510@-122.51130@1ooZhwTQyuNt0xiue5YhLg@@134@@@@201311@@.jpg": (3, 2, 0),
    "@0543194.44@4181590.30@10@S@037.78064@-122.50948@eCTaveq9DNYVSPZwEAfgAw@@352@@@@201312@@.jpg": (4, 4, 1),
    "@0543158.27@4180593.76@10@S@037.77166@-122.50995@M7mOh9X4Xw_OHp-DYe5hQg@@206@@@@201311@@.jpg": (0, 4, 0),
}


def test_groups_of_sample_names_equal_known_answers(group: Callable[..., Path]) -> None:
    members = read_table(group(list(KNOWN)), "members")
    assert dict(zip(members["path"], members["group_index"], strict=True)) == {
        name: (u * 5 + v) * 2 + w for name, (u, v, w) in KNOWN.items()
    }
    years = dict(zip(members["path"], members["year"], strict=True))
    assert years == {name: int(name.split("@")[13][:4]) for name in KNOWN}


def test_headings_of_360_and_tiny_negatives_are_0(group: Callable[..., Path], name_with: NameWith) -> None:
    names = [name_with(heading=heading) for heading in ("0", "360", "-1e-18", "-360", "29.99")]
    classes = read_table(group(names), "classes")
    assert classes.select("heading_bin", "num_images").rows() == [(0, 5)]


def test_two_zones_and_two_hemispheres_never_share_a_class(group: Callable[..., Path], name_with: NameWith) -> None:
    frames = [(10, "S"), (11, "S"), (10, "H"), (11, "H"), ("", "S"), ("", "H")]
    names = [name_with(utm_zone=zone, utm_band=band, latitude="") for zone, band in frames]
    names += [name_with(utm_zone=10, utm_band="", latitude=latitude, longitude="") for latitude in ("", "1", "-1")]
    classes = read_table(group(names), "classes")
    assert classes["group_index"].n_unique() == 1
    counts = {
        (zone, half): count for zone, half, count in classes.select("utm_zone", "hemisphere", "num_images").iter_rows()
    }
    assert counts == {
        **{(10, "N"): 2, (11, "N"): 1, (10, "S"): 2, (11, "S"): 1, (None, "N"): 1, (None, "S"): 1, (10, None): 1}
    }


def test_the_band_does_not_split_a_class(group: Callable[..., Path], name_with: NameWith) -> None:
    assert len(read_table(group([name_with(utm_band="S"), name_with(utm_band="T")]), "classes")) == 1


def test_alpha_360_takes_images_without_a_heading(group: Callable[..., Path], name_with: NameWith) -> None:
    names = [name_with(heading=heading) for heading in ("", "-1", "0", "200")]
    folder = group(names, alpha=360, L=1)
    assert read_table(folder, "classes")["num_images"].to_list() == [4]
    assert read_table(group(names), "classes")["num_images"].sum() == 2


def test_images_of_other_years_are_left_out(group: Callable[..., Path], name_with: NameWith) -> None:
    images: dict[str, dict[str, Any]] = {}
    for number, year in enumerate((2012, 2013, 2014, 2015, 2018, "")):
        some = random_images(name_with, 60, seed=number, utm_zone=10, utm_band="S", timestamp=year)
        images |= {name.replace("@.jpg", f"{number}@.jpg"): image for name, image in some.items()}
    folder = group(list(images), years="2015,2013-2014", M=20, alpha=360, L=1)
    taken = {name: image for name, image in images.items() if image["timestamp"] in (2013, 2014, 2015)}
    assert grouped(folder) == group_in_plain_python(taken, GroupSettings(M=20, alpha=360, L=1))
    summary = read_recipe(folder)["summary"]
    assert (summary["images"], summary["images_of_other_years"], summary["images_without_year"]) == (180, 120, 60)


def test_the_digest_depends_on_years_only_if_given(group: Callable[..., Path], name_with: NameWith) -> None:
    names = [name_with(timestamp=year, pano_id=year) for year in (2013, 2014, 2015)]
    everything = group(names)
    assert "years" not in read_recipe(everything)["settings"]
    assert "images_without_year" not in read_recipe(everything)["summary"]
    assert group(names, years="2013-2014") == group(names, years="2014,2013")
    assert len({everything, group(names, years="2013-2014"), group(names, years="2013-")}) == 3


def test_no_image_of_the_years_is_an_error(group: Callable[..., Path], name_with: NameWith, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"years = 2030-: none of the 2 images .*\. Years of the images: 2013; 1 w"):
        group([name_with(timestamp=2013), name_with(timestamp="")], years="2030-")
    assert not (tmp_path / "A" / "groups").exists()


def test_each_group_has_its_file_and_rows_are_sorted(group: Callable[..., Path], name_with: NameWith) -> None:
    folder = group(list(random_images(name_with, 300, seed=5)))
    members, classes = read_table(folder, "members"), read_table(folder, "classes")
    assert sorted(path.name.rpartition("-")[0] for path in (folder / "members").iterdir()) == [
        f"group-{number:06d}-0000" for number in classes["group_index"].unique().sort()
    ]
    for file in (folder / "members").iterdir():
        assert set(pl.read_parquet(file)["group_index"]) == {int(file.stem.split("-")[1])}
    assert members.equals(members.sort("group_index", "class_index", "path"))
    keys = ["group_index", "utm_zone", "hemisphere", "cell_east", "cell_north", "heading_bin"]
    assert classes.equals(classes.sort(keys))
    assert classes.equals(classes.sort("group_index", "class_index"))


def test_bytes_do_not_depend_on_the_order_and_the_partitions(
    group: Callable[..., Path], name_with: NameWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = list(random_images(name_with, 500, seed=6))
    paths = [f"{number % 9}/{name}" for number, name in enumerate(names)]
    first = group(paths, "A")

    monkeypatch.setattr(manifest_module, "ROWS_PER_PARTITION", 40)
    second = group(random.Random(1).sample(paths, len(paths)), "B")
    (manifest,) = (path for path in list_current(second.parents[2]) if path.parents[1].name == "manifest")
    assert len(list((manifest / "manifest").iterdir())) > 10
    first_tables, second_tables = tables_in(first), tables_in(second)
    for tables in (first_tables, second_tables):  # the counts are those of each partition
        assert all(tables.pop(name) for name in [*tables] if name.startswith("class_counts/"))
    assert first_tables == second_tables


def test_a_class_keeps_its_key_when_images_are_added(group: Callable[..., Path], name_with: NameWith) -> None:
    images = random_images(name_with, 300, seed=7, utm_zone=10, utm_band="S")
    before, after = grouped(group(list(images)[:200])), grouped(group(list(images)))
    for number, classes in before.items():
        for key, names in classes.items():
            assert names <= after[number][key]


def test_recipe_has_the_manifest_and_the_settings(manifest: Manifest, name_with: NameWith, tmp_path: Path) -> None:
    recipe = groups_recipe("city", "0123456789abcdef", GroupSettings(M=20))
    settings = {"M": 20.0, "alpha": 30.0, "N": 5, "L": 2, "min_images_per_class": 10}
    assert recipe == Recipe("groups", "city", 6, settings, {"manifest": "0123456789abcdef"})
    assert recipe.digest == "717402d2d8a03e17"
    folder = manifest([name_with(pano_id=number) for number in range(10)])
    groups = build_groups(folder, tmp_path / "A")
    assert groups == groups_recipe("city", folder.name, GroupSettings()).folder(tmp_path / "A")
    assert read_recipe(groups)["summary"]["made"] == "1 classes of 10 images in 1 groups"
    assert build_groups(folder, tmp_path / "A", GroupSettings(M=20)) != groups


def test_a_second_build_changes_nothing(group: Callable[..., Path], name_with: NameWith) -> None:
    folder = group([name_with()])
    before = tables_in(folder), {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert group([name_with()]) == folder
    assert (tables_in(folder), {path: path.stat().st_mtime_ns for path in folder.rglob("*")}) == before


@pytest.mark.parametrize(
    ("headings", "values", "message"),
    [
        (
            ["", "-1", ""],
            {},
            "none of the 3 images has a heading: use --alpha 360 --L 1 to make classes of cells alone",
        ),
        (
            ["0", "1", "40", ""],
            {"min_images_per_class": 3, "M": 12.5, "alpha": 22.5},
            "min_images_per_class = 3: the largest class has 2 images; lower it, or make cells larger "
            "(M = 12.5 metres) or heading bins wider (alpha = 22.5 degrees)",
        ),
    ],
)
def test_no_class_is_an_error(
    group: Callable[..., Path],
    name_with: NameWith,
    tmp_path: Path,
    headings: list[str],
    values: dict[str, Any],
    message: str,
) -> None:
    names = [name_with(heading=heading, pano_id=number) for number, heading in enumerate(headings)]
    with pytest.raises(UserError) as error:
        group(names, **values)
    assert str(error.value) == message
    assert not (tmp_path / "A" / "groups").exists()


def test_a_folder_without_a_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a published artifact"):
        build_groups(tmp_path, tmp_path / "A")


def test_unwise_settings_are_warned_about(
    group: Callable[..., Path], name_with: NameWith, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert is_published(group([name_with()], alpha=50, N=1))
    assert len(caplog.messages) == 3


def test_preselected_images_are_warned_about(
    group: Callable[..., Path], name_with: NameWith, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "MIN_CLASSES", 1)
    names = [name_with(heading=heading) for heading in (0, 60)]
    group(names)
    group(names, years="2014")
    assert not any(record.levelno == logging.WARNING for record in caplog.records)
    assert is_published(group(names, M=20))
    assert "M = 20, alpha = 30, N = 5, L = 2: with M = 10, alpha = 30, N = 5, L = 2 nearly all images" in caplog.text


def test_progress_reaches_100_percent(manifest: Manifest, name_with: NameWith) -> None:
    shown: list[int] = []
    folder = manifest([name_with(heading=heading) for heading in range(0, 360, 30)])
    build_groups(folder, folder.parents[2], GroupSettings(**FEW), shown.append)
    assert shown == sorted(shown)
    assert shown[-1] == 100


def test_classes_and_plan_do_not_depend_on_partitions_with_unknown_zones(
    manifest: Manifest, name_with: NameWith, rows_per_partition: Callable[[int], None], tmp_path: Path
) -> None:
    names = list(random_images(name_with, 120, seed=9))
    tables = []
    for rows in (15, 40, 1000):
        rows_per_partition(rows)
        folder = manifest([f"{number % 12}/{name}" for number, name in enumerate(names)], f"{rows}")
        groups = build_groups(folder, folder.parents[2], GroupSettings(**FEW))
        tables.append(read_table(groups, "classes"))
        _, (plan,) = plan_groups(folder, tmp_path / "none", [GroupSettings(**FEW)], EpochSettings())
        assert plan.summary["classes"] == len(tables[-1])
    assert all(table.equals(tables[0]) for table in tables)
