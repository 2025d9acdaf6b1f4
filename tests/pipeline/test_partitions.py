import random
import re

import polars as pl
import pytest

from pipeline.partitions import ROWS_PER_PARTITION, folder_keys, hash_of, partitions


def cut(paths: list[str], rows: int) -> dict[str, list[str]]:
    """The paths of each partition, checked to be a partition in the mathematical sense."""
    pairs = list(partitions(pl.DataFrame({"path": paths}, schema={"path": pl.String}), rows))
    parts = {key: part["path"].to_list() for key, part in pairs}
    assert len(parts) == len(pairs)
    assert list(parts) == sorted(parts)
    assert all(re.fullmatch(r"b[01]*(-[0-9a-f]{4,})?", key) for key in parts)
    assert all(parts.values())
    assert sorted(path for part in parts.values() for path in part) == sorted(paths)
    return parts


def folder(name: str, count: int, start: int = 0) -> list[str]:
    return [f"{name}/{number:05}.jpg" for number in range(start, start + count)]


CITY = [path for number in range(40) for path in folder(f"37.{number}", 1 + number * 7 % 50)]


def partition_of(parts: dict[str, list[str]], path: str) -> str:
    (key,) = (key for key, paths in parts.items() if path in paths)
    return key


def test_few_images_are_one_partition() -> None:
    assert cut(CITY, ROWS_PER_PARTITION) == {"b": CITY}


def test_no_images_are_no_partition() -> None:
    assert cut([], 10) == {}


@pytest.mark.parametrize("rows", [1, 2, 10, 50, 100, 333, 10_000])
def test_every_image_is_in_one_partition(rows: int) -> None:
    parts = cut(CITY, rows)
    assert len(parts) >= len(CITY) / rows / 2


def test_small_folders_share_partitions_and_none_is_too_large() -> None:
    parts = cut(CITY, 100)
    assert max(len(paths) for paths in parts.values()) <= 100
    folders = [{path.split("/")[0] for path in paths} for paths in parts.values()]
    assert sum(len(each) for each in folders) == 40  # no folder is torn
    assert len(parts) < 40


@pytest.mark.parametrize("rows", [50, 100, 333])
def test_the_order_does_not_matter(rows: int) -> None:
    shuffled = random.Random(3).sample(CITY, len(CITY))
    parts, again = cut(CITY, rows), cut(shuffled, rows)
    assert {key: sorted(paths) for key, paths in again.items()} == {key: sorted(paths) for key, paths in parts.items()}
    ranks = {path: rank for rank, path in enumerate(shuffled)}
    assert all(paths == sorted(paths, key=ranks.__getitem__) for paths in again.values())


@pytest.mark.parametrize("added", [1, 60, 500])
@pytest.mark.parametrize("number", [0, 7, 39])
def test_images_added_to_a_folder_change_its_partition_only(number: int, added: int) -> None:
    name = f"37.{number}"
    before, after = cut(CITY, 100), cut(CITY + folder(name, added, start=9000), 100)
    touched = partition_of(before, f"{name}/00000.jpg")
    for key, paths in before.items():
        assert key == touched or after[key] == paths
    assert all(key.startswith(touched) for key in after if key not in before)


def test_a_new_folder_changes_one_partition_only() -> None:
    before, after = cut(CITY, 100), cut(CITY + folder("38.00", 20), 100)
    changed = [key for key, paths in before.items() if after.get(key) != paths]
    assert len(changed) <= 1


def test_a_huge_folder_is_cut_by_the_hash_of_its_names() -> None:
    huge = folder("test/database", 1000)
    parts = cut(huge, 100)
    assert len(parts) == 16
    assert all(
        re.fullmatch("b-000[0-9a-f]", key) and all(hash_of(path)[0] == key[-1] for path in paths)
        for key, paths in parts.items()
    )
    assert max(len(paths) for paths in parts.values()) < 2 * 100


def test_an_insert_into_a_huge_folder_shifts_no_other_cut() -> None:
    huge = folder("test/database", 1000)
    before, after = cut(huge, 100), cut([*huge[:500], "test/database/new.jpg", *huge[500:]], 100)
    assert list(before) == list(after)
    (changed,) = (key for key in before if before[key] != after[key])
    assert [path for path in after[changed] if path not in before[changed]] == ["test/database/new.jpg"]


def test_a_huge_folder_beside_small_ones() -> None:
    parts = cut(CITY + folder("huge", 1000), 100)
    of_huge = {key for key, paths in parts.items() if paths[0].startswith("huge/")}
    assert len(of_huge) == 16
    assert all(path.startswith("huge/") for key in of_huge for path in parts[key])


def test_images_without_a_folder_are_a_folder_of_their_own() -> None:
    loose = [f"{number}.jpg" for number in range(30)]
    parts = cut([*loose, *folder("a", 30), *folder("a/b", 30)], 40)
    assert sorted(map(len, parts.values())) == [30, 30, 30]


def test_other_columns_go_along() -> None:
    images = pl.DataFrame({"path": CITY, "rank": range(len(CITY))})
    for _, part in partitions(images, 50):
        assert part.columns == ["path", "rank"]
        assert [CITY[rank] for rank in part["rank"]] == part["path"].to_list()


def test_hashes_are_those_of_blake2b() -> None:
    # b2sum --length 64
    assert hash_of("") == "e4a6a0577479b2b4"
    assert hash_of("37.70") == "a2f59fc0a0cea902"


def test_keys_are_the_first_bits_of_the_folders_hashes() -> None:
    sizes = {f"37.{number}": 10 for number in range(64)}
    keys = dict(folder_keys(sizes, 40))
    assert keys.keys() == sizes.keys()
    for name, key in keys.items():
        assert f"{int(hash_of(name), 16):064b}".startswith(key[1:])
