from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import utm
from cosplace.demo.city.dataset import HEADINGS, Year, write_city, write_year, years
from cosplace.demo.city.layout import ORIGIN_EAST, ORIGIN_NORTH, make_plan
from cosplace.demo.city.settings import CitySettings
from PIL import Image

from tests.helpers import files_in

FOLDERS = ("train", "val/database", "val/queries", "test/database", "test/queries_v1")


def fields(path: Path) -> list[str]:
    return path.name.split("@")


def test_names_parse_with_equal_utm_and_degrees(city_folder: Path) -> None:
    paths = sorted(city_folder.rglob("*.jpg"))
    assert len(paths) == 7 * 3 * 12
    for path in paths:
        parts = fields(path)
        assert len(parts) == 16
        assert (len(parts[1]), len(parts[2]), len(parts[7]), len(parts[13])) == (10, 10, 22, 6)
        east, north, zone, letter = utm.from_latlon(float(parts[5]), float(parts[6]))
        assert [str(zone), str(letter)] == parts[3:5]
        assert np.hypot(east - float(parts[1]), north - float(parts[2])) < 1


def test_training_folders_are_latitudes(city_folder: Path) -> None:
    for path in (city_folder / "train").rglob("*.jpg"):
        assert path.parent.parent == city_folder / "train"
        assert fields(path)[5].startswith("0" + path.parent.name)


def test_panorama_has_twelve_headings_at_one_place_and_time(city_folder: Path) -> None:
    panoramas = defaultdict(list)
    for path in city_folder.rglob("*.jpg"):
        panoramas[fields(path)[7]].append(fields(path))
    assert len(panoramas) == 7 * 3
    for crops in panoramas.values():
        headings = sorted(int(crop[9]) for crop in crops)
        assert [heading // 30 for heading in headings] == list(range(12))
        assert set(np.diff(headings)) == {30}
        assert len({(crop[1], crop[2], crop[13]) for crop in crops}) == 1


def test_each_year_is_in_one_folder(city_folder: Path) -> None:
    by_folder = {folder: {fields(path)[13][:4] for path in (city_folder / folder).rglob("*.jpg")} for folder in FOLDERS}
    assert [len(by_folder[folder]) for folder in FOLDERS] == [2, 1, 1, 1, 2]
    assert max(Counter(year for found in by_folder.values() for year in found).values()) == 1


@pytest.mark.parametrize("train_years", [1, 3, 8, 12])
def test_years_are_consecutive(train_years: int) -> None:
    table = years(train_years)
    assert [year.year for year in table] == list(range(2009, 2009 + train_years + 5))
    counts = Counter(year.folder for year in table)
    assert [counts[folder] for folder in FOLDERS] == [train_years, 1, 1, 1, 2]


def test_queries_are_within_two_metres_of_their_place(city_folder: Path, smallest: CitySettings) -> None:
    places = make_plan(smallest).places + np.array([ORIGIN_EAST, ORIGIN_NORTH])
    for folder in ("val/queries", "test/queries_v1", "val/database", "test/database"):
        for path in (city_folder / folder).iterdir():
            position = np.array([float(part) for part in fields(path)[1:3]])
            assert np.hypot(*(places - position).T).min() < (2 if "queries" in folder else 0.6)


def test_images_have_the_requested_size_and_content(city_folder: Path) -> None:
    for path in sorted(city_folder.rglob("*.jpg"))[::20]:
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((16, 16), "RGB")
            assert np.asarray(image).std() > 5


def test_equal_settings_give_equal_bytes_with_any_number_of_processes(
    city_folder: Path, smallest: CitySettings, tmp_path: Path
) -> None:
    counts = write_city(tmp_path, smallest, processes=2)
    assert files_in(tmp_path) == files_in(city_folder)
    assert counts == {"train": 72, "val/database": 36, "val/queries": 36, "test/database": 36, "test/queries_v1": 72}


def test_seed_changes_the_images(city_folder: Path, tmp_path: Path) -> None:
    other = CitySettings(seed=1, size=16, places=3, spacing=60, train_years=2)
    year = Year(2009, "train", 0, 2.5)
    assert write_year(tmp_path, other, year) == 3 * len(HEADINGS)
    ours, theirs = files_in(tmp_path), files_in(city_folder)
    assert not set(ours.values()) & set(theirs.values())
    assert not set(ours) & set(theirs)
