import random
from pathlib import Path

import polars as pl
import pytest

from data_manifest.tables import read_table
from pipeline.groups import gather
from pipeline.groups.gather import GatherJob, in_bundles, in_order, plan_files, write_members

MEMBERS = {"number": pl.UInt32, "path": pl.String, "year": pl.Int16}
CLASSES = {
    **{"group_index": pl.Int32, "class_index": pl.Int32, "num_images": pl.Int32, "members_hash": pl.UInt64},
}
Row = tuple[int, str, int]


def make_rows(count: int, seed: int) -> list[Row]:
    choose = random.Random(seed)
    return [
        (choose.randrange(20), f"{choose.choice('ab')}/{number:04d}é@.jpg", 2000 + number % 9)
        for number in choose.sample(range(10_000), count)
    ]


def framed(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=MEMBERS, orient="row")


def by_class_and_path(row: Row) -> tuple[int, bytes]:
    return row[0], row[1].encode()


@pytest.mark.parametrize("partitions", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 500])
def test_members_are_sorted_by_class_and_path(partitions: int, count: int) -> None:
    rows = make_rows(count, seed=partitions)
    parts = [sorted(rows[number::partitions], key=lambda row: row[1].encode()) for number in range(partitions)]
    found = in_order(framed([row for part in parts for row in part]))
    assert found.rows() == sorted(rows, key=by_class_and_path)
    assert found.schema == MEMBERS


def test_members_in_random_order_are_sorted() -> None:
    rows = make_rows(300, seed=0)
    assert in_order(framed(rows)).rows() == sorted(rows, key=by_class_and_path)


def test_one_unsorted_class_among_sorted_ones_is_sorted() -> None:
    rows = [(0, "a", 1), (1, "a", 2), (1, "c", 3), (2, "a", 4), (1, "b", 5)]
    assert [row[1:] for row in in_order(framed(rows)).rows()] == [("a", 1), ("a", 2), ("b", 5), ("c", 3), ("a", 4)]


def classes_of(sizes: list[list[int]]) -> pl.DataFrame:
    """Return numbered classes, given their sizes per group."""
    rows = [(group, number, size, 7 * size) for group, each in enumerate(sizes) for number, size in enumerate(each)]
    return pl.DataFrame(rows, schema=CLASSES, orient="row")


def pieces_of(planned: pl.DataFrame) -> list[int]:
    return [int(name.split("-")[2]) for name in planned["file"]]


def test_files_and_bundles_have_about_so_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "ROWS_PER_FILE", 10)
    planned = in_bundles(plan_files(classes_of([[4, 4, 4, 4, 9], [3], [2], [30, 1], [1]])))
    assert pieces_of(planned) == [0, 0, 0, 1, 1, 0, 0, 0, 3, 0]
    #      rows before each class:        0  4  8 12 16 25 28 30 60 61
    assert planned["bundle"].to_list() == [0, 0, 0, 1, 1, 2, 2, 3, 4, 4]
    assert planned["number"].to_list() == list(range(10))


def test_bundles_have_whole_files_and_fewer_rows_than_two_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "ROWS_PER_FILE", 50)
    choose = random.Random(3)
    sizes = [[choose.randrange(1, 20) for _ in range(choose.randrange(1, 30))] for _ in range(40)]
    planned = in_bundles(plan_files(classes_of(sizes)))
    assert planned.group_by("file").agg(pl.col("bundle").n_unique())["bundle"].unique().to_list() == [1]
    rows = planned.group_by("bundle", maintain_order=True).agg(pl.col("num_images").sum())
    assert rows["bundle"].to_list() == list(range(len(rows)))
    assert all(count < 2 * (50 + 20) for count in rows["num_images"])


def test_no_classes_are_no_files() -> None:
    assert len(in_bundles(plan_files(classes_of([])))) == 0


@pytest.mark.parametrize("column", ["num_images", "members_hash", "class_index"])
def test_a_file_name_changes_with_its_classes(column: str) -> None:
    classes = classes_of([[4, 5], [6]])
    changed = classes.with_columns(pl.when(pl.int_range(pl.len()) == 1).then(9).otherwise(column).alias(column))
    before, after = (plan_files(each.cast(CLASSES))["file"].to_list() for each in (classes, changed))  # type: ignore[arg-type]
    assert before[0] == before[1] != after[0] == after[1]
    assert before[2] == after[2]


def test_files_of_one_bundle_from_spread_files_and_earlier_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread = {tmp_path / "0.arrow": [(1, "b", 1), (2, "a", 2)], tmp_path / "1.arrow": [(1, "a", 3)]}
    monkeypatch.setattr(gather, "read_spread", lambda file, places: framed(spread[file]))
    folder, earlier_folder = tmp_path / "members", tmp_path / "earlier" / "members"
    earlier_folder.mkdir(parents=True)
    earlier = pl.DataFrame({"class_index": [3, 4, 4], "path": ["x", "c", "d"], "year": [0, 4, 5]})
    earlier.cast({"class_index": pl.Int32, "year": pl.Int16}).write_parquet(earlier_folder / "0.parquet")
    before = {"file_before": ["0.parquet", None, None], "class_before": [4, None, None]}
    schema = {"file_before": pl.String, "class_before": pl.Int32}
    classes = plan_files(classes_of([[2, 2], [1]])).hstack(pl.DataFrame(before, schema))
    places = pl.DataFrame({"partition": [0, 0, 1]})
    write_members(GatherJob(folder, classes, places, tmp_path, tmp_path / "earlier"))
    assert read_table(tmp_path, "members").rows() == [
        *((0, 0, "c", 4), (0, 0, "d", 5), (0, 1, "a", 3), (0, 1, "b", 1), (1, 0, "a", 2)),
    ]
    assert [path.name for path in sorted((tmp_path / "members").iterdir())] == sorted(set(classes["file"]))
