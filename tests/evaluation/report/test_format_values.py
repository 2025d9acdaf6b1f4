import polars as pl
import pytest

from evaluation.report.format_values import (
    format_column,
    format_distance,
    format_plural,
    format_range,
    format_setting,
)


@pytest.mark.parametrize(
    ("metres", "text"), [(2.46, "2.5 m"), (25.4, "25.4 m"), (412.6, "413 m"), (9_949.0, "9,949 m"), (12_400.0, "12 km")]
)
def test_distances_in_metres(metres: float, text: str) -> None:
    assert format_distance(metres) == text


def test_distances_in_frames() -> None:
    assert [format_distance(number, "frames") for number in (0.0, 1.0, 1200.0)] == [
        "0 frames",
        "1 frame",
        "1,200 frames",
    ]


def test_distance_to_another_zone() -> None:
    assert format_distance(float("inf")) == "another zone"


def test_plurals_ranges_and_settings() -> None:
    assert format_plural(1, "query has", "queries have") == "1 query has"
    assert format_plural(1200, "query has", "queries have") == "1,200 queries have"
    assert [format_range([2013, 2013]), format_range([2019, 2013]), format_range([])] == ["2013", "2013 to 2019", "-"]
    assert [format_setting(value) for value in (None, True, 1e-05, 10.0, "auto")] == [
        *("none", "true", "1e-05", "10", "auto")
    ]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([2013, None], ["2013", "-"]),
        ([30.0, 360.0, None], ["30", "360", "-"]),
        ([44.4444, 100.0], ["44.4", "100.0"]),
        ([0.25, 0.5], ["0.250", "0.500"]),
        (["0-5", ">90"], ["0-5", ">90"]),
    ],
)
def test_numbers_of_a_column_have_equal_decimals(values: list[object], text: list[str]) -> None:
    assert format_column(pl.Series(values)) == text
