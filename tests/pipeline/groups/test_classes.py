import math
from typing import Any

import polars as pl
import pytest

from pipeline.groups.classes import (
    CLASS_KEY,
    class_key,
    complete_frames,
    count_classes,
    group_index,
    number_classes,
    sum_counts,
)
from pipeline.groups.settings import GroupSettings

COLUMNS = {
    **{"utm_zone": pl.Int8, "utm_band": pl.String, "latitude": pl.Float64},
    **{"utm_east": pl.Float64, "utm_north": pl.Float64, "heading": pl.Float64},
}


def classify(rows: list[dict[str, Any]], **values: Any) -> list[tuple[Any, ...]]:
    """Zone, hemisphere, cell east, cell north, heading bin and group of each row."""
    settings = GroupSettings(**values)
    frame = pl.DataFrame([{**dict.fromkeys(COLUMNS), **row} for row in rows], schema=COLUMNS)
    keys = frame.select(class_key(settings))
    assert keys.columns == list(CLASS_KEY)
    return keys.with_columns(group_index(settings)).rows()


def at(east: float, north: float, heading: float | None = 0.0, **frame: Any) -> dict[str, Any]:
    return {"utm_east": east, "utm_north": north, "heading": heading, **frame}


@pytest.mark.parametrize(
    ("east", "north", "heading", "cell", "group"),
    [
        # SF-XL's sample names: (u, v, w) by hand
        (545981.19, 4184971.70, 174, (54598, 418497, 5), (3, 2, 1)),
        (544388.51, 4172758.25, 210, (54438, 417275, 7), (3, 0, 1)),
        (543037.38, 4180974.80, 134, (54303, 418097, 4), (3, 2, 0)),
        (543194.44, 4181590.30, 352, (54319, 418159, 11), (4, 4, 1)),
        (543158.27, 4180593.76, 206, (54315, 418059, 6), (0, 4, 0)),
        (544204.32, 4173406.33, 0, (54420, 417340, 0), (0, 0, 0)),
        # a border belongs to the cell and bin above it
        (0.0, 0.0, 0.0, (0, 0, 0), (0, 0, 0)),
        (10.0, 9.99, 30.0, (1, 0, 1), (1, 0, 1)),
        (9.999999, 10.0, 29.999999, (0, 1, 0), (0, 1, 0)),
        (50.0, 60.0, 60.0, (5, 6, 2), (0, 1, 0)),
        # u, v and w are never negative
        (-0.01, -10.0, 359.99, (-1, -1, 11), (4, 4, 1)),
        (-10.01, -50.0, 330.0, (-2, -5, 11), (3, 0, 1)),
        (-0.0, -50.01, 329.99, (0, -6, 10), (0, 4, 0)),
    ],
)
def test_cells_bins_and_groups_computed_by_hand(
    east: float, north: float, heading: float, cell: tuple[int, int, int], group: tuple[int, int, int]
) -> None:
    u, v, w = group
    (row,) = classify([at(east, north, float(heading), utm_zone=10, utm_band="S")])
    assert row == (10, "N", *cell, (u * 5 + v) * 2 + w)


def test_group_indices_fill_their_range() -> None:
    rows = [at(10.0 * u, 10.0 * v, 30.0 * w) for u in range(-5, 5) for v in range(-5, 5) for w in range(12)]
    groups = [row[-1] for row in classify(rows)]
    assert set(groups) == set(range(50))
    assert all(groups.count(group) == len(rows) / 50 for group in range(50))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"utm_zone": 10, "utm_band": "S", "latitude": -37.0}, (10, "N")),
        ({"utm_zone": 10, "utm_band": "M", "latitude": 37.0}, (10, "S")),
        ({"utm_zone": 11, "latitude": 37.0}, (11, "N")),
        ({"utm_zone": 11, "latitude": -37.0}, (11, "S")),
        ({"utm_zone": 11}, (11, None)),
        ({"utm_band": "T"}, (None, "N")),
        ({}, (None, None)),
    ],
)
def test_hemisphere_from_band_or_latitude(frame: dict[str, Any], expected: tuple[int | None, str | None]) -> None:
    assert classify([at(5.0, 5.0, **frame)])[0][:2] == expected


@pytest.mark.parametrize("alpha", [22.5, 7.2, 0.5, 100.0, 359.0])
def test_alpha_may_be_fractional(alpha: float) -> None:
    headings = [0.0, 7.2, 22.49, 22.5, 100.0, 180.0, 359.0, 359.99]
    bins = [row[4] for row in classify([at(0.0, 0.0, heading) for heading in headings], alpha=alpha)]
    assert bins == [math.floor(heading / alpha) for heading in headings]


def test_heading_bin_is_null_without_a_heading() -> None:
    rows = [at(0.0, 0.0, None), at(0.0, 0.0, 200.0)]
    assert [(row[4], row[5]) for row in classify(rows)] == [(None, None), (6, 0)]
    assert [(row[4], row[5]) for row in classify(rows, alpha=360, L=1)] == [(0, 0), (0, 0)]


@pytest.mark.parametrize("side", [0.001, 0.1, 7.5, 1e6])
def test_cells_may_be_tiny_or_huge(side: float) -> None:
    easts = [-1e8, -12.34, 0.0, 545981.19, 1e8]
    cells = [row[2] for row in classify([at(east, 1.0) for east in easts], M=side)]
    assert cells == [math.floor(east / side) for east in easts]


@pytest.mark.parametrize(("side", "alpha"), [(49.0, 7.2), (75.0, 30.0), (0.1, 0.1), (10.0, 22.5), (150.0, 14.4)])
def test_borders_belong_to_the_cell_above_also_where_the_inverse_is_rounded_down(side: float, alpha: float) -> None:
    """49 * (1 / 49) is less than 1."""
    rows = [at(number * side, -number * side, number * alpha) for number in range(int(360 / alpha))]
    expected = [(math.floor(row["utm_east"] / side), math.floor(row["utm_north"] / side)) for row in rows]
    found = classify(rows, M=side, alpha=alpha)
    assert [row[2:4] for row in found] == expected
    assert [row[4] for row in found] == [math.floor(row["heading"] / alpha) for row in rows]
    assert [classify([row], M=side, alpha=alpha)[0] for row in rows[:60]] == found[:60]


FRAMES: list[tuple[list[tuple[int | None, str | None]], dict[tuple[int | None, str | None], int]]] = [
    ([(10, "N"), (None, None)], {(10, "N"): 2}),
    ([(10, "N"), (10, None)], {(10, "N"): 2}),
    ([(10, "N"), (None, "N")], {(10, "N"): 2}),
    ([(10, None), (None, "N")], {(10, "N"): 2}),
    ([(10, None), (None, None)], {(10, None): 2}),
    ([(None, "N"), (None, None)], {(None, "N"): 2}),
    ([(None, None), (None, None)], {(None, None): 2}),
    ([(10, "N"), (10, "N"), (None, None)], {(10, "N"): 3}),
    ([(10, "N"), (11, "N"), (None, None)], {(10, "N"): 1, (11, "N"): 1, (None, None): 1}),
    ([(10, "N"), (11, "N"), (None, "N"), (None, None)], {(10, "N"): 1, (11, "N"): 1, (None, "N"): 2}),
    ([(10, "N"), (10, "S"), (10, None)], {(10, "N"): 1, (10, "S"): 1, (10, None): 1}),
    ([(10, "N"), (10, "S"), (None, None)], {(10, "N"): 1, (10, "S"): 1, (10, None): 1}),
    ([(10, "N"), (11, None), (None, None)], {(10, "N"): 1, (11, None): 1, (None, None): 1}),
]
COUNTS = {
    **{"utm_zone": pl.Int8, "hemisphere": pl.String, "cell_east": pl.Int64, "cell_north": pl.Int64},
    **{"heading_bin": pl.Int32, "num_images": pl.Int32},
}


def counts_of(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, COUNTS, orient="row")


@pytest.mark.parametrize(("frames", "expected"), FRAMES)
def test_unknown_frames_are_completed_within_a_cell(frames: list[Any], expected: dict[Any, int]) -> None:
    counts = counts_of([(*frame, 5, 5, 0, 1) for frame in frames])
    total = sum_counts(complete_frames(counts))
    assert {row[:2]: row[-1] for row in total.rows()} == expected


def test_a_frame_is_completed_in_all_heading_bins_and_in_no_other_cell() -> None:
    counts = counts_of(
        [
            *((10, "N", 1, 1, 0, 4), (None, None, 1, 1, 6, 3), (None, None, 2, 1, 0, 2)),
            *((11, "S", 2, 1, None, 1), (None, None, 3, 1, 0, 1)),  # also an image without a heading gives its frame
        ]
    )
    completed = complete_frames(counts)
    assert completed.select("utm_zone", "hemisphere").rows() == [
        (10, "N"),
        (10, "N"),
        (11, "S"),
        (11, "S"),
        (None, None),
    ]
    assert completed.drop("utm_zone", "hemisphere").equals(counts.drop("utm_zone", "hemisphere"))


def test_classes_are_counted_summed_and_numbered() -> None:
    rows = [at(5.0, 5.0, heading, utm_zone=10, utm_band="S") for heading in (0.0, 29.0, 60.0, 61.0, None, 30.0)]
    frame = pl.DataFrame([{**dict.fromkeys(COLUMNS), **row} for row in rows], schema=COLUMNS)
    settings = GroupSettings(min_images_per_class=3)
    halves = [count_classes(frame.lazy().gather_every(2, start), settings) for start in (0, 1)]
    total = sum_counts(pl.concat([*halves, *halves]))
    assert total["num_images"].sum() == 12
    numbered = number_classes(total, settings)
    found = numbered.select("group_index", "class_index", "heading_bin", "num_images").rows()
    assert found == [(0, 0, 0, 4), (0, 1, 2, 4)], "one class has 2 images, one no heading"
