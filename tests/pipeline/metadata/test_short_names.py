"""Names of fewer or more than 16 fields: test sets need the UTM position, training a position that ends the name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_manifest.errors import UserError
from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.listing.list_images import list_images
from pipeline.manifest.build_manifest import build_manifest
from pipeline.panoramas.crop_names import crop_path, read_panoramas
from pipeline.sources.names_source import NAMES_SOURCE
from tests.pipeline.conftest import write

NameWith = Callable[..., str]
POSITION: dict[str, Any] = {"utm_east": 545981.19, "utm_north": 4184971.70}
ZONE = {**POSITION, "utm_zone": 10, "utm_band": "S"}
DEGREES = {**ZONE, "latitude": 37.81098, "longitude": -122.47762}
MANGLED = "@0549678.37@4180874.60@10@S@037.77386@-122.43590@bZ1VXzxFCSKi9wcz8H5pZA0@201311.jpg"
SHORT: dict[str, tuple[dict[str, Any], bool]] = {  # what is read, and whether training takes it
    "@545981.19@4184971.70@.jpg": (POSITION, True),
    "@0545981.19@4184971.70@.PNG": (POSITION, True),
    "@545981.19@4184971.70.jpg": (POSITION, False),
    "@545981.19@4184971.70@10@.jpeg": ({**POSITION, "utm_zone": 10}, True),
    "@545981.19@4184971.70@10@S@.jpg": (ZONE, True),
    "@545981.19@4184971.70@10@S.jpg": (ZONE, False),
    "@545981.19@4184971.70@10@S@37.81098@-122.47762@.jpg": (DEGREES, True),
    "@545981.19@4184971.70@10@S@37.81098@-122.47762.jpg": (DEGREES, False),
    "@545981.19@4184971.70@10@S@37.81098@-122.47762@pano@.jpg": ({**DEGREES, "pano_id": "pano"}, False),
    "@545981.19@4184971.70@10@S@37.81098@-122.47762@pano@@174.jpg": ({**DEGREES, "heading": 174}, False),
    "@545981.19@4184971.70@query 12.jpg": (POSITION, False),
    "@545981.19@4184971.70@12.jpg": ({**POSITION, "utm_zone": None}, False),  # a number of the query
    "@545981.19@4184971.70@12@345@.jpg": ({**POSITION, "utm_zone": None, "utm_band": None}, False),
    "@545981.19@4184971.70@query@from@a@phone@.jpg": (POSITION, False),
    "@545981.19@4184971.70@@@@@@@30@@@@201409@@x@y@z.jpg": ({**POSITION, "heading": 30, "year": 2014}, False),
    "@545981.19@4184971.70@@@@@@@30@@@@201409@@@.jpg": ({**POSITION, "heading": 30, "year": 2014}, False),
    "@545981.19@4184971.70@.jpg@.jpg": (POSITION, False),
    MANGLED: ({"utm_east": 549678.37, "utm_north": 4180874.60, "pano_id": "bZ1VXzxFCSKi9wcz8H5pZA0"}, False),
}
NO_POSITION = ["@.jpg", "@545981.19.jpg", "@545981.19@.jpg", "@@@.jpg", "@x@4184971.70@.jpg", "@545981.19@y.jpg"]


def build(tmp_path: Path, *names: str, strict: bool, folder: str = "set") -> tuple[dict[str, Any], dict[str, str]]:
    write(tmp_path / folder, *names)
    manifest = build_manifest(tmp_path / folder, tmp_path / "A", strict=strict)
    rejects = {row["path"]: f"{row['reason']}: {row['detail']}" for row in read_table(manifest, "rejects").to_dicts()}
    return {row["path"]: row for row in read_table(manifest, "manifest").to_dicts()}, rejects


@pytest.mark.parametrize("folder", ["set", "a@1@2@3@4@5@6@7@8@9@10@11@12@13@14"])
def test_a_test_set_takes_them_by_their_position(tmp_path: Path, folder: str, name_with: NameWith) -> None:
    images, rejects = build(tmp_path, *SHORT, name_with(), *NO_POSITION, strict=False, folder=folder)
    assert set(images) == {*SHORT, name_with()}
    assert set(rejects) == set(NO_POSITION)
    for name, (expected, _) in SHORT.items():
        assert {field: images[name][field] for field in expected} == expected
        others = {"heading", "year", "latitude"} - expected.keys()
        assert name == MANGLED or all(images[name][field] is None for field in others)


def test_in_folders_with_an_at_they_are_read_alike(tmp_path: Path) -> None:
    """As many @ in the whole path as a usual name has."""
    paths = [f"x/{'@' * (15 - name.count('@'))}/{name}" for name in SHORT if name.count("@") < 15]
    paths += [path.replace("x/", "y/") for path in paths]
    (tmp_path / "set_images_paths.txt").write_text("\n".join(paths))
    manifest = build_manifest(tmp_path / "set", tmp_path / "A", strict=False)
    rows = {row["path"]: row for row in read_table(manifest, "manifest").to_dicts()}
    assert set(rows) == set(paths)
    for path in paths:
        expected, _ = SHORT[path.rpartition("/")[2]]
        assert {field: rows[path][field] for field in expected} == expected


def test_training_takes_those_that_end_after_their_position(tmp_path: Path, name_with: NameWith) -> None:
    images, rejects = build(tmp_path, *SHORT, name_with(), strict=True)
    assert set(images) == {name for name, (_, usable) in SHORT.items() if usable} | {name_with()}
    assert rejects[MANGLED] == "wrong number of fields: 9 fields, expected 16"
    others = {path: text for path, text in rejects.items() if not text.startswith("wrong number of fields: ")}
    assert others == {
        "@545981.19@4184971.70@.jpg@.jpg": "not a number: utm_zone = .jpg",
        "@545981.19@4184971.70@12@345@.jpg": "out of range: utm_band = 345",
        "@545981.19@4184971.70@query@from@a@phone@.jpg": "not a number: latitude = a",
    }


def test_training_by_cells_needs_no_heading(tmp_path: Path) -> None:
    write(tmp_path / "train", *(f"@545981.{number}@4184971.70@10@S@.jpg" for number in range(10)))
    manifest = build_manifest(tmp_path / "train", tmp_path / "A")
    classes = read_table(build_groups(manifest, tmp_path / "A", GroupSettings(alpha=360, L=1)), "classes")
    assert classes["num_images"].to_list() == [10]
    with pytest.raises(UserError, match="none of the 10 images has a heading"):
        build_groups(manifest, tmp_path / "A")


def test_crops_of_a_panorama_with_a_short_name_have_whole_names(tmp_path: Path) -> None:
    write(tmp_path / "panoramas", "@545981.19@4184971.70@10@S@37.81098@-122.47762@pano@@174.jpg")
    (row,) = read_panoramas(list_images(tmp_path / "panoramas"), NAMES_SOURCE).iter_rows(named=True)
    crop = crop_path(row["path"], row["name"], 204.0)
    assert crop == "@0545981.19@4184971.70@10@S@037.81098@-122.47762@pano@@204@@@@@@.jpg"
    assert row["heading"] == 174


def test_many_short_names_among_others(tmp_path: Path, name_with: NameWith) -> None:
    names = [f"@{545_000 + number}.5@4184971.70@.jpg" for number in range(300)]
    names += [name_with(pano_id=number, heading=number) for number in range(300)]
    images, rejects = build(tmp_path, *names, strict=False)
    assert (len(images), rejects) == (600, {})
    short = pl.DataFrame([images[name] for name in names[:300]])
    assert short["utm_east"].to_list() == [545_000.5 + number for number in range(300)]
    assert [images[name]["heading"] for name in names[300:]] == list(range(300))
