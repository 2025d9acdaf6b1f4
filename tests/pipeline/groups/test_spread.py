import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_manifest.schemas import CLASS_COUNTS
from data_manifest.tables import read_notes
from pipeline.groups import spread
from pipeline.groups.classes import CLASS_KEY, class_key
from pipeline.groups.settings import GroupSettings
from pipeline.groups.spread import SpreadJob, member_hash, read_counts, read_spread, spread_partition

SCHEMA = {
    **{"path": pl.String, "year": pl.Int16, "utm_east": pl.Float64, "utm_north": pl.Float64, "utm_zone": pl.Int8},
    **{"utm_band": pl.String, "latitude": pl.Float64, "heading": pl.Float64},
}
ODD_PATHS = ("é/@1@.jpg", "b/" + "x" * 300, "", "c\n\0.jpg", "日本", "\U0001f600")
Images = list[dict[str, Any]]


def make_images(count: int) -> Images:
    """Return images of a few classes, sorted by path; some lack the year, some the heading."""
    choose = random.Random(count)
    paths = sorted([*ODD_PATHS, *(f"{number:04d}.jpg" for number in range(count))][:count])
    return [
        {
            **{"path": path, "year": choose.choice([None, 2013, 2014]), "utm_east": choose.choice([5.0, 15.0, 55.0])},
            **{"utm_north": 5.0, "utm_zone": choose.choice([10, None]), "utm_band": "S", "latitude": None},
            **{"heading": choose.choice([None, 1.0, 40.0])},
        }
        for path in paths
    ]


def spread_images(images: Images, folder: Path, **values: Any) -> tuple[Path, pl.DataFrame]:
    """Spread images, and return the file and the class counts."""
    pl.DataFrame(images, SCHEMA, orient="row").write_parquet(folder / "manifest.parquet")
    spread_file, counts_file = folder / "0.arrow", folder / "class_counts" / "part-0.parquet"
    spread_partition(SpreadJob(folder / "manifest.parquet", GroupSettings(**values), spread_file, counts_file))
    return spread_file, read_counts([counts_file])


def members_of(images: Images, **values: Any) -> dict[tuple[Any, ...], list[tuple[str, int | None]]]:
    """Return the path and year of the images of each class, by key."""
    members: dict[tuple[Any, ...], list[tuple[str, int | None]]] = {}
    frame = pl.DataFrame(images, SCHEMA, orient="row")
    for path, year, *key in frame.select("path", "year", *class_key(GroupSettings(**values))).rows():
        members.setdefault(tuple(key), []).append((path, year))
    return members


def places_of(counts: pl.DataFrame) -> pl.DataFrame:
    """Return the classes that were spread, with their rows, and a number for each."""
    spread_counts = counts.filter(pl.col("heading_bin").is_not_null())
    end = pl.col("num_images").cast(pl.Int64).cum_sum()
    return spread_counts.with_columns(number=100 - pl.col("class"), begin=end - pl.col("num_images"), end=end)


@pytest.mark.parametrize("rows_per_batch", [1, 3, 16_384])
@pytest.mark.parametrize("count", [1, 6, 50])
def test_any_range_of_classes_is_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_per_batch: int, count: int
) -> None:
    monkeypatch.setattr(spread, "ROWS_PER_BATCH", rows_per_batch)
    images = make_images(count)
    spread_file, counts = spread_images(images, tmp_path)
    members, places = members_of(images), places_of(counts)
    for begin in range(len(places)):
        for end in range(begin + 1, len(places) + 1):
            for step in (1, 2):  # 2: classes in between are not wanted
                wanted = places[begin:end:step]
                expected = [
                    (number, *member)
                    for number, *key in wanted.select("number", *CLASS_KEY).rows()
                    for member in members[tuple(key)]
                ]
                assert read_spread(spread_file, wanted).rows() == expected


def test_counts_have_all_classes_in_the_order_of_the_spread_file(tmp_path: Path) -> None:
    images = make_images(50)
    spread_file, counts = spread_images(images, tmp_path)
    members = members_of(images)
    assert {tuple(key): count for *key, count in counts.select(*CLASS_KEY, "num_images").rows()} == {
        key: len(each) for key, each in members.items()
    }
    with_heading = counts["heading_bin"].is_not_null()
    assert with_heading.sort(descending=True).equals(with_heading), "those without a heading come last"
    assert pl.read_ipc(spread_file)["class"].unique(maintain_order=True).to_list() == [
        *range(counts["heading_bin"].count())
    ]


def test_images_of_other_years_are_neither_counted_nor_spread(tmp_path: Path) -> None:
    images = make_images(50)
    spread_file, counts = spread_images(images, tmp_path, years="2014", alpha=360, L=1)
    assert counts["num_images"].sum() == sum(image["year"] == 2014 for image in images)
    assert set(read_spread(spread_file, places_of(counts))["year"]) == {2014}


def test_a_partition_without_images_of_the_years_is_spread(tmp_path: Path) -> None:
    spread_file, counts = spread_images(make_images(5), tmp_path, years="1999")
    assert len(counts) == len(pl.read_ipc(spread_file)) == 0
    assert counts.drop("partition", "class").columns == CLASS_COUNTS.names


def test_member_hash_is_the_same_on_every_machine() -> None:
    """Polars may change it with a version: then these values change, and `HASHED_BY` keeps old hashes from use."""
    rows = [("a.jpg", 2013), ("é/" * 100, None), ("", 2013)]
    frame = pl.DataFrame(rows, {"path": pl.String, "year": pl.Int16}, orient="row")
    assert frame.select(member_hash())["members_hash"].to_list() == [
        *(7219897988908786283, 14456378749931838303, 10671734958725561247)
    ]


def test_sums_of_hashes_wrap_and_tell_images_and_years_from_others(tmp_path: Path) -> None:
    one = {"path": "a", "year": 2013, "utm_east": 5.0, "utm_north": 5.0, "utm_band": "S", "heading": 0.0}
    other = {**one, "path": "b", "year": 2014}
    swapped = [{**one, "year": 2014}, {**other, "year": 2013}]
    hashes = []
    for number, images in enumerate(([one, other], swapped, [one], [other], [{**one, "year": None}])):
        (tmp_path / str(number)).mkdir()
        hashes.append(spread_images(images, tmp_path / str(number))[1]["members_hash"].item())
    assert len(set(hashes)) == 5
    assert hashes[0] == (hashes[2] + hashes[3]) % 2**64
    assert max(hashes) < 2**64 <= sum(hashes)


def test_counts_name_the_version_that_hashed_them(tmp_path: Path) -> None:
    spread_images(make_images(5), tmp_path)
    assert read_notes(tmp_path / "class_counts" / "part-0.parquet")["polars"] == pl.__version__


def test_a_spread_file_appears_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies while it writes leaves no file of that name, and another may write the same one."""
    visible: list[list[str]] = []
    clear = pl.DataFrame.clear

    def look(frame: pl.DataFrame) -> pl.DataFrame:
        visible.append([path.name for path in tmp_path.glob("[!.]*.arrow")])
        return clear(frame)

    monkeypatch.setattr(pl.DataFrame, "clear", look)
    spread_file, _ = spread_images(make_images(5), tmp_path)
    first = spread_file.read_bytes()
    spread_images(make_images(5), tmp_path)
    assert spread_file.read_bytes() == first
    assert visible == [[], ["0.arrow"]]
