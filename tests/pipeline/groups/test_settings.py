import logging
import math
from typing import Any

import pytest

from data_manifest.errors import UserError
from pipeline.groups.settings import GroupSettings


def warnings_of(caplog: pytest.LogCaptureFixture, **values: Any) -> list[str]:
    caplog.set_level(logging.INFO, "pipeline.groups.settings")
    GroupSettings(**values).warn_if_unwise()
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    return caplog.messages


def test_defaults_equal_those_of_the_paper() -> None:
    assert GroupSettings().as_dict() == {"M": 10.0, "alpha": 30.0, "N": 5, "L": 2, "min_images_per_class": 10}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"M": 0}, "M = 0: a cell needs a side of more than 0 metres"),
        ({"M": -10}, "M = -10: a cell needs a side of more than 0 metres"),
        ({"M": 1e-4}, "M = 0.0001: a cell needs a side of at least 0.001 metres"),
        ({"M": 1e-300}, "M = 1e-300: a cell needs a side of at least 0.001 metres"),
        ({"M": "nan"}, "M = 'nan': expected a number"),
        ({"M": math.inf}, "M = inf: expected a number"),
        ({"alpha": 0}, "alpha = 0: a heading bin is more than 0 and at most 360 degrees wide"),
        ({"alpha": -30}, "alpha = -30: a heading bin is more than 0 and at most 360 degrees wide"),
        ({"alpha": 360.5}, "alpha = 360.5: a heading bin is more than 0 and at most 360 degrees wide"),
        ({"alpha": 1e-9}, "alpha = 1e-09: that makes more than 2,147,483,647 heading bins"),
        ({"N": 0}, "N = 0: it must be at least 1"),
        ({"N": -5}, "N = -5: it must be at least 1"),
        ({"N": 2.5}, "N = 2.5: expected a whole number"),
        ({"L": 0}, "L = 0: it must be at least 1"),
        ({"N": 40_000}, "N = 40000, L = 2: N * N * L makes more than 2,147,483,647 groups"),
        ({"N": 1, "L": 2**31}, "N = 1, L = 2147483648: N * N * L makes more than 2,147,483,647 groups"),
        ({"min_images_per_class": 0}, "min_images_per_class = 0: it must be at least 1"),
    ],
)
def test_impossible_values_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        GroupSettings(**values)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"alpha": 22.5},
        {"alpha": 7.2},  # 360 / 7.2 is 50, though 360 % 7.2 is not 0 in binary
        {"alpha": 0.1, "L": 4},
        {"alpha": 360, "L": 1},
        {"alpha": 60, "L": 3},
        {"alpha": 30, "L": 12},  # SF-XL's small set: one heading bin per group
        {"alpha": 180, "L": 1},
        {"alpha": 180, "L": 2},
        {"M": 0.001, "N": 2},
    ],
)
def test_wise_values_cause_no_warning(caplog: pytest.LogCaptureFixture, values: dict[str, Any]) -> None:
    assert warnings_of(caplog, **values) == []


@pytest.mark.parametrize(
    ("values", "messages"),
    [
        ({"alpha": 50, "L": 1}, ["alpha = 50 does not divide 360: the last heading bin is narrower"]),
        (
            {"alpha": 50},
            [
                "alpha = 50 does not divide 360: the last heading bin is narrower",
                "alpha * L = 100 does not divide 360: classes of one group touch across north",
            ],
        ),
        ({"alpha": 40}, ["alpha * L = 80 does not divide 360: classes of one group touch across north"]),
        ({"alpha": 120}, ["alpha * L = 240 does not divide 360: classes of one group touch across north"]),
        ({"alpha": 30, "L": 24}, ["L = 24, but alpha makes 12 heading bins: groups stay empty"]),
        ({"alpha": 360}, ["alpha = 360 makes one heading bin: with L = 2 most groups stay empty, use L = 1"]),
        (
            {"N": 1},
            ["N = 1 puts adjacent cells in the same group, where the classifier may not be able to separate them"],
        ),
    ],
)
def test_unwise_values_cause_a_warning(
    caplog: pytest.LogCaptureFixture, values: dict[str, Any], messages: list[str]
) -> None:
    assert warnings_of(caplog, **values) == messages


def test_only_a_full_turn_needs_no_heading() -> None:
    assert not GroupSettings(alpha=360).uses_headings
    assert GroupSettings(alpha=359.9).uses_headings
