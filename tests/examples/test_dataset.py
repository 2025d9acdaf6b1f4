from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import utm
from city.dataset import HEADINGS, Year, write_city, write_year, years
from city.layout import ORIGIN_EAST, ORIGIN_NORTH, make_plan
from city.settings import CitySettings
from PIL import Image

FOLDERS = ("train", "val/database", "val/queries", "test/database", "test/queries_v1")


def fields(path: Path) -> list[str]:
    return path.name.split("@")


def digest(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.jpg"))}


def test_names_parse_and_positions_agree_with_latitude_and_longitude(city_folder: Path) -> None:
    paths = sorted(city_folder.rglob("*.jpg"))
    assert len(paths) == 7 * 3 * 12
    for path in paths:
        parts = fields(path)
        assert len(parts) == 16
        assert (len(parts[1]), len(parts[2]), len(parts[7]), len(parts[13])) == (10, 10, 22, 6)
        east, north, zone, letter = utm.from_latlon(float(parts[5]), float(parts[6]))
        assert [str(zone), str(letter)] == parts[3:5]
        assert np.hypot(east - float(parts[1]), north - float(parts[2])) < 1


def test_train_images_lie_in_the_folder_of_their_latitude(city_folder: Path) -> None:
    for path in (city_folder / "train").rglob("*.jpg"):
        assert path.parent.parent == city_folder / "train"
        assert fields(path)[5].startswith("0" + path.parent.name)


def test_a_panorama_has_twelve_headings_one_position_and_one_time(city_folder: Path) -> None:
    panoramas = defaultdict(list)
    for path in city_folder.rglob("*.jpg"):
        panoramas[fields(path)[7]].append(fields(path))
    assert len(panoramas) == 7 * 3
    for crops in panoramas.values():
        headings = sorted(int(crop[9]) for crop in crops)
        assert [heading // 30 for heading in headings] == list(range(12))
        assert set(np.diff(headings)) == {30}
        assert len({(crop[1], crop[2], crop[13]) for crop in crops}) == 1


def test_no_year_serves_two_purposes(city_folder: Path) -> None:
    by_folder = {folder: {fields(path)[13][:4] for path in (city_folder / folder).rglob("*.jpg")} for folder in FOLDERS}
    assert [len(by_folder[folder]) for folder in FOLDERS] == [2, 1, 1, 1, 2]
    assert max(Counter(year for found in by_folder.values() for year in found).values()) == 1


@pytest.mark.parametrize("train_years", [1, 3, 8, 12])
def test_years_run_on_and_have_one_purpose_each(train_years: int) -> None:
    table = years(train_years)
    assert [year.year for year in table] == list(range(2009, 2009 + train_years + 5))
    counts = Counter(year.folder for year in table)
    assert [counts[folder] for folder in FOLDERS] == [train_years, 1, 1, 1, 2]


def test_queries_lie_within_two_metres_of_their_place(city_folder: Path, smallest: CitySettings) -> None:
    places = make_plan(smallest).places + np.array([ORIGIN_EAST, ORIGIN_NORTH])
    for folder in ("val/queries", "test/queries_v1", "val/database", "test/database"):
        for path in (city_folder / folder).iterdir():
            position = np.array([float(part) for part in fields(path)[1:3]])
            assert np.hypot(*(places - position).T).min() < (2 if "queries" in folder else 0.6)


def test_images_have_the_size_asked_for_and_hold_a_picture(city_folder: Path) -> None:
    for path in sorted(city_folder.rglob("*.jpg"))[::20]:
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((16, 16), "RGB")
            assert np.asarray(image).std() > 5


def test_the_same_settings_give_the_same_bytes_whatever_the_processes(
    city_folder: Path, smallest: CitySettings, tmp_path: Path
) -> None:
    counts = write_city(tmp_path, smallest, processes=2)
    assert digest(tmp_path) == digest(city_folder)
    assert counts == {"train": 72, "val/database": 36, "val/queries": 36, "test/database": 36, "test/queries_v1": 72}


def test_another_seed_gives_other_pictures(city_folder: Path, tmp_path: Path) -> None:
    other = CitySettings(seed=1, size=16, places=3, spacing=60, train_years=2)
    year = Year(2009, "train", 0, 2.5)
    assert write_year(tmp_path, other, year) == 3 * len(HEADINGS)
    ours, theirs = digest(tmp_path), digest(city_folder)
    assert not set(ours.values()) & set(theirs.values())
    assert not set(ours) & set(theirs)
