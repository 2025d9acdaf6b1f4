import random
import re
from collections import Counter

import numpy as np
import polars as pl
import pytest

from pipeline.listing.leaves import (
    LEAF_BITS,
    NAME_BITS,
    NUM_LEAVES,
    LeafRange,
    Leaves,
    cut_into_ranges,
    hash_check,
    hash_lines,
)

NAME = "@0545981.19@4184971.70@10@S@037.81098@-122.47762@{}@@174@@@@201409@@.jpg"


def leaves_of(paths: list[str]) -> Leaves:
    hashed, leaves = hash_lines("".join(f"{path}\n" for path in paths).encode()), Leaves()
    for row, leaf in enumerate(hashed.leaves):
        leaves.rows[leaf] += 1
        leaves.sums[:, leaf] += hashed.hashes[:, row]
    return leaves


def leaf_of(path: str) -> int:
    (leaf,) = hash_lines(f"{path}\n".encode()).leaves.tolist()
    return int(leaf)


def folder(name: str, count: int) -> list[str]:
    return [f"{name}/{number:05}.jpg" for number in range(count)]


CITY = [path for number in range(40) for path in folder(f"37.{number}", 1 + number * 7 % 50)]


def test_hashes_are_the_same_on_every_machine() -> None:
    """Partitions of a data set and the caches of its folders rest on them."""
    assert hash_check() == "58040 57925 13736888212636650052 15285081166214708251"
    assert pl.Series([b"a\n"]).hash(1).item() == 10887999561309182846


def test_lines_are_hashed_alike_whatever_is_around_them() -> None:
    paths = ["a.jpg", "x/a.jpg", "x/y/b.jpg", "x/" + NAME.format(1), NAME.format(2), "/", "c"]
    for _ in range(20):
        random.shuffle(paths)
        hashed = hash_lines("".join(f"{path}\n" for path in paths).encode())
        assert hashed.leaves.tolist() == [leaf_of(path) for path in paths]
        assert hashed.lines.to_list() == [f"{path}\n".encode() for path in paths]
        assert hashed.leaves[hashed.order()].tolist() == sorted(hashed.leaves.tolist())


def test_lines_add_up_by_leaf_and_by_other_keys() -> None:
    expected, content = leaves_of(CITY), "".join(f"{path}\n" for path in CITY).encode()
    halves = hash_lines(content).sum_up(half=np.arange(len(CITY)) % 2)
    assert halves["half"].unique().sort().to_list() == [0, 1]
    assert halves.filter(pl.col("half") == 0)["rows"].sum() == (len(CITY) + 1) // 2
    for sums in (hash_lines(content).sum_up(), halves):
        leaves = Leaves().add(sums)
        assert np.array_equal(leaves.rows, expected.rows)
        assert np.array_equal(leaves.sums, expected.sums)


def test_a_leaf_is_of_one_folder_and_images_of_one_place_share_it() -> None:
    assert leaf_of("x/" + NAME.format(1)) == leaf_of("x/" + NAME.format(2))
    assert leaf_of("x/" + NAME.format(1)) != leaf_of("x/" + NAME.replace("0545981", "0546981").format(1))
    assert leaf_of("x/" + NAME.format(1)) >> NAME_BITS == leaf_of("x/a.jpg") >> NAME_BITS
    assert leaf_of("x/" + NAME.format(1)) >> NAME_BITS != leaf_of("y/" + NAME.format(1)) >> NAME_BITS
    assert len({leaf_of(f"x/frame_{number:07}.jpg") for number in range(50)}) > 30, "other names are spread"


def test_sums_depend_on_which_paths_there_are_only() -> None:
    shuffled = random.Random(1).sample(CITY, len(CITY))
    assert leaves_of(CITY).digest() == leaves_of(shuffled).digest()
    others = (CITY[1:], [*CITY, CITY[0]], [*CITY[1:], "new.jpg"], [*CITY[2:], CITY[0] + CITY[1]])
    assert len({leaves_of(paths).digest() for paths in (CITY, *others)}) == 1 + len(others)


@pytest.mark.parametrize("rows", [1, 7, 40, 100, 10_000])
def test_ranges_hold_every_leaf_once_and_few_rows(rows: int) -> None:
    leaves = leaves_of(CITY)
    ranges = list(cut_into_ranges(leaves, rows))
    assert [each.key for each in ranges] == sorted(each.key for each in ranges)
    assert all(re.fullmatch("b[01]*", each.key) for each in ranges)
    covered = np.concatenate([np.arange(each.begin, each.end) for each in ranges if not each.path_bits])
    assert len(set(covered.tolist())) == len(covered)
    assert sum(each.rows for each in ranges if not each.path_bits) == leaves.rows[covered].sum()
    assert all(each.rows <= rows for each in ranges if not each.path_bits)
    assert all(leaves.rows[each.begin] > rows for each in ranges if each.path_bits)
    if rows == 10_000:
        assert ranges == [LeafRange("b", 0, NUM_LEAVES, len(CITY), ranges[0].digest)]


def test_a_leaf_with_too_many_rows_is_cut_into_parts() -> None:
    leaves = Leaves()
    leaves.rows[5] = 1000
    parts = list(cut_into_ranges(leaves, 300))
    assert [each.path_bits for each in parts] == ["00", "01", "10", "11"]
    assert {(each.begin, each.end, each.rows) for each in parts} == {(5, 6, 1000)}
    assert len({each.digest for each in parts}) == 4


def test_an_added_path_changes_one_range() -> None:
    for new in ("37.5/new.jpg", "38.0/new.jpg", "new.jpg"):
        before, after = (set(cut_into_ranges(leaves_of(paths), 100)) for paths in (CITY, [*CITY, new]))
        assert len(before - after) <= 1
        assert len(after - before) <= 2, "a range that gets too large is halved"


def test_small_folders_are_in_one_range_each() -> None:
    ranges = list(cut_into_ranges(leaves_of(CITY), 100))
    of_folder = {path.partition("/")[0]: set[str]() for path in CITY}
    for path in CITY:
        leaf = leaf_of(path)
        of_folder[path.partition("/")[0]] |= {each.key for each in ranges if each.begin <= leaf < each.end}
    assert Counter(map(len, of_folder.values())) == {1: len(of_folder)}


def test_a_million_small_folders_are_few_ranges() -> None:
    leaves = Leaves()
    for number in range(0, 1_000_000, 100_000):
        content = "".join(f"{folder}/{image}.jpg\n" for folder in range(number, number + 100_000) for image in range(3))
        hashed = hash_lines(content.encode())
        leaves.rows += np.bincount(hashed.leaves, minlength=1 << LEAF_BITS)
    ranges = list(cut_into_ranges(leaves, 250_000))
    assert 12 <= len(ranges) <= 24
    assert max(each.rows for each in ranges) <= 250_000
    assert sum(each.rows for each in ranges) == 3_000_000
