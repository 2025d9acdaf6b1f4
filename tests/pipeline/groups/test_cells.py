import math
from typing import Any

import polars as pl
import pytest

from pipeline.groups.cells import CLASS_KEY, class_key, group_index
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
        # the sample names: (u, v, w) by hand
        (545981.19, 4184971.70, 174, (54598, 418497, 5), (3, 2, 1)),
        (544388.51, 4172758.25, 210, (54438, 417275, 7), (3, 0, 1)),
        (543037.38, 4180974.80, 134, (54303, 418097, 4), (3, 2, 0)),
        (543194.44, 4181590.30, 352, (54319, 418159, 11), (4, 4, 1)),
        (543158.27, 4180593.76, 206, (54315, 418059, 6), (0, 4, 0)),
        (544204.32, 4173406.33, 0, (54420, 417340, 0), (0, 0, 0)),
        # borders belong to the cell and bin above them
        (0.0, 0.0, 0.0, (0, 0, 0), (0, 0, 0)),
        (10.0, 9.99, 30.0, (1, 0, 1), (1, 0, 1)),
        (9.999999, 10.0, 29.999999, (0, 1, 0), (0, 1, 0)),
        (50.0, 60.0, 60.0, (5, 6, 2), (0, 1, 0)),
        # from 0 up for negative cells too
        (-0.01, -10.0, 359.99, (-1, -1, 11), (4, 4, 1)),
        (-10.01, -50.0, 330.0, (-2, -5, 11), (3, 0, 1)),
        (-0.0, -50.01, 329.99, (0, -6, 10), (0, 4, 0)),
    ],
)
def test_cells_bins_and_groups_by_hand(
    east: float, north: float, heading: float, cell: tuple[int, int, int], group: tuple[int, int, int]
) -> None:
    u, v, w = group
    (row,) = classify([at(east, north, float(heading), utm_zone=10, utm_band="S")])
    assert row == (10, "N", *cell, (u * 5 + v) * 2 + w)


def test_group_numbers_fill_the_range() -> None:
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
def test_frames(frame: dict[str, Any], expected: tuple[int | None, str | None]) -> None:
    assert classify([at(5.0, 5.0, **frame)])[0][:2] == expected


@pytest.mark.parametrize("alpha", [22.5, 7.2, 0.5, 100.0, 359.0])
def test_fractional_alpha(alpha: float) -> None:
    headings = [0.0, 7.2, 22.49, 22.5, 100.0, 180.0, 359.0, 359.99]
    bins = [row[4] for row in classify([at(0.0, 0.0, heading) for heading in headings], alpha=alpha)]
    assert bins == [math.floor(heading / alpha) for heading in headings]


def test_without_a_heading() -> None:
    rows = [at(0.0, 0.0, None), at(0.0, 0.0, 200.0)]
    assert [(row[4], row[5]) for row in classify(rows)] == [(None, None), (6, 0)]
    assert [(row[4], row[5]) for row in classify(rows, alpha=360, L=1)] == [(0, 0), (0, 0)]


@pytest.mark.parametrize("side", [0.001, 0.1, 7.5, 1e6])
def test_cells_of_any_side(side: float) -> None:
    easts = [-1e8, -12.34, 0.0, 545981.19, 1e8]
    cells = [row[2] for row in classify([at(east, 1.0) for east in easts], M=side)]
    assert cells == [math.floor(east / side) for east in easts]


@pytest.mark.parametrize(("side", "alpha"), [(49.0, 7.2), (75.0, 30.0), (0.1, 0.1), (10.0, 22.5), (150.0, 14.4)])
def test_borders_belong_to_the_cell_above_them(side: float, alpha: float) -> None:
    """Also where one over the side is rounded down: 49 * (1 / 49) is less than 1."""
    rows = [at(number * side, -number * side, number * alpha) for number in range(int(360 / alpha))]
    expected = [(math.floor(row["utm_east"] / side), math.floor(row["utm_north"] / side)) for row in rows]
    found = classify(rows, M=side, alpha=alpha)
    assert [row[2:4] for row in found] == expected
    assert [row[4] for row in found] == [math.floor(row["heading"] / alpha) for row in rows]
    assert [classify([row], M=side, alpha=alpha)[0] for row in rows[:60]] == found[:60]
