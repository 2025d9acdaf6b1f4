import random

import polars as pl
import pytest

from pipeline.groups import gather as members
from pipeline.groups.gather import in_bundles, in_order, plan_files

SCHEMA = {"group_index": pl.Int32, "class_index": pl.Int32, "piece": pl.Int32, "path": pl.String, "year": pl.Int16}
Row = tuple[int, int, int, str, int]


def some_rows(count: int, seed: int) -> list[Row]:
    choose = random.Random(seed)
    return [
        (choose.randrange(3), choose.randrange(20), 0, f"{choose.choice('ab')}/{number:04d}é@.jpg", 2000 + number % 9)
        for number in choose.sample(range(10_000), count)
    ]


def framed(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@pytest.mark.parametrize("partitions", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 500])
def test_members_come_in_the_order_of_group_class_and_path(partitions: int, count: int) -> None:
    rows = some_rows(count, seed=partitions)
    parts = [sorted(rows[number::partitions], key=lambda row: row[3].encode()) for number in range(partitions)]
    found = in_order(framed([row for part in parts for row in part]))
    assert found.rows() == sorted(rows, key=lambda row: (row[0], row[1], row[3].encode()))
    assert found.schema == SCHEMA


def test_members_in_no_order_at_all() -> None:
    rows = some_rows(300, seed=0)
    assert in_order(framed(rows)).rows() == sorted(rows, key=lambda row: (row[0], row[1], row[3].encode()))


def test_one_class_that_is_out_of_order_among_others_that_are_not() -> None:
    rows = [(0, 0, 0, "a", 1), (0, 1, 0, "a", 2), (0, 1, 0, "c", 3), (0, 2, 0, "a", 4), (0, 1, 0, "b", 5)]
    assert [row[3:] for row in in_order(framed(rows)).rows()] == [("a", 1), ("a", 2), ("b", 5), ("c", 3), ("a", 4)]


def classes_of(sizes: list[list[int]]) -> pl.DataFrame:
    """The classes of groups by their sizes, group after group."""
    rows = [(group, number, size) for group, each in enumerate(sizes) for number, size in enumerate(each)]
    schema = {"group_index": pl.Int32, "class_index": pl.Int32, "num_images": pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_files_and_bundles_of_about_so_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "ROWS_PER_FILE", 10)
    planned = in_bundles(plan_files(classes_of([[4, 4, 4, 4, 9], [3], [2], [30, 1], [1]])))
    assert planned["piece"].to_list() == [0, 0, 0, 1, 1, 0, 0, 0, 3, 0]
    #      rows before each class:        0  4  8 12 16 25 28 30 60 61
    assert planned["bundle"].to_list() == [0, 0, 0, 1, 1, 2, 2, 3, 4, 4]


def test_bundles_hold_whole_files_and_no_more_than_two_files_worth_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "ROWS_PER_FILE", 50)
    choose = random.Random(3)
    sizes = [[choose.randrange(1, 20) for _ in range(choose.randrange(1, 30))] for _ in range(40)]
    planned = in_bundles(plan_files(classes_of(sizes)))
    assert planned.group_by("group_index", "piece").agg(pl.col("bundle").n_unique())["bundle"].unique().to_list() == [1]
    rows = planned.group_by("bundle", maintain_order=True).agg(pl.col("num_images").sum())
    assert rows["bundle"].to_list() == list(range(len(rows)))
    assert all(count < 2 * (50 + 20) for count in rows["num_images"])
