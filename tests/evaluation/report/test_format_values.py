import polars as pl
import pytest

from evaluation.report import format_values as text


@pytest.mark.parametrize(
    ("metres", "said"), [(2.46, "2.5 m"), (25.4, "25.4 m"), (412.6, "413 m"), (9_949.0, "9,949 m"), (12_400.0, "12 km")]
)
def test_distances(metres: float, said: str) -> None:
    assert text.distance(metres) == said


def test_distances_along_a_ride() -> None:
    assert [text.distance(number, "frames") for number in (0.0, 1.0, 1200.0)] == ["0 frames", "1 frame", "1,200 frames"]


def test_a_match_in_another_zone_has_no_distance() -> None:
    assert text.distance(float("inf")) == "another zone"


def test_words_for_numbers() -> None:
    assert text.plural(1, "query has", "queries have") == "1 query has"
    assert text.plural(1200, "query has", "queries have") == "1,200 queries have"
    assert [text.span(2013, 2013), text.span(2013, 2019), text.span(None, None)] == ["2013", "2013 to 2019", "-"]
    assert [text.setting_text(value) for value in (None, True, 1e-05, 10.0, "auto")] == [
        *("none", "true", "1e-05", "10", "auto")
    ]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([2013, None], ["2013", "-"]),
        ([30.0, 360.0, None], ["30", "360", "-"]),
        ([44.4444, 100.0], ["44.4", "100.0"]),
        ([0.25, 0.5], ["0.250", "0.500"]),
        (["0-5", ">90"], ["0-5", ">90"]),
    ],
)
def test_numbers_of_a_column_align(values: list[object], said: list[str]) -> None:
    assert text.column_text(pl.Series(values)) == said
