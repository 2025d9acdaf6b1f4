import logging
import math
import random
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from pipeline.groups.classes import count_classes
from pipeline.groups.preselected_images import PUBLISHED, find_selections, warn_if_preselected
from pipeline.groups.settings import GroupSettings

City = Callable[..., pl.DataFrame]


def group_of(bins: int, east: float, north: float, heading: float) -> tuple[int, int, int]:
    """Return u, v and w by the published rule with L = `bins`."""
    return math.floor(east / 10) % 5, math.floor(north / 10) % 5, math.floor(heading / 30) % bins


@pytest.fixture
def city() -> City:
    """Return a function that counts those images of a square city, by published class, that `keep` accepts."""

    def city(keep: Callable[..., bool], side_m: int = 1000) -> pl.DataFrame:
        choose = random.Random(1)
        numbers = dict.fromkeys(("utm_east", "utm_north", "heading"), pl.Float64)
        schema = pl.Schema({**numbers, "utm_zone": pl.Int8, "utm_band": pl.String, "latitude": pl.Float64})
        images = ([*(choose.uniform(0, side_m) for _ in "xy"), float(choose.randrange(360))] for _ in range(400_000))
        kept = [(*image, 10, "S", None) for image in images if keep(*image)]
        return count_classes(pl.LazyFrame(kept, schema, orient="row"), PUBLISHED)

    return city


def warnings_of(caplog: pytest.LogCaptureFixture, counted: pl.DataFrame, **values: Any) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        warn_if_preselected(counted, GroupSettings(**values))
    return caplog.messages


def test_images_of_eight_groups_are_recognised(city: City, caplog: pytest.LogCaptureFixture) -> None:
    groups = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (4, 2, 1), (3, 2, 1), (2, 2, 0), (1, 4, 1), (0, 4, 0)]
    counted = city(lambda *image: group_of(2, *image) in groups)
    for values in ({"M": 20}, {"alpha": 60}, {"N": 4}, {"L": 3}):
        (message,) = warnings_of(caplog, counted, **values)
        assert "with M = 10, alpha = 30, N = 5, L = 2 nearly all images fall in 8 of 50 groups" in message
        assert "SF-XL's processed/train" in message
    assert warnings_of(caplog, counted) == []
    assert warnings_of(caplog, counted, min_images_per_class=3, years="2013-") == []


def test_images_of_one_group_of_300_are_recognised(city: City, caplog: pytest.LogCaptureFixture) -> None:
    counted = city(lambda *image: group_of(12, *image) == (0, 0, 0), side_m=4000)
    (message,) = warnings_of(caplog, counted, N=4)
    assert "with M = 10, alpha = 30, N = 5, L = 12 nearly all images fall in 1 of 300 groups" in message
    assert "SF-XL's small/train" in message
    assert warnings_of(caplog, counted, L=12) == []
    assert warnings_of(caplog, counted) == [], "the published values make the same classes of it"


def test_all_images_of_a_city_cause_no_warning(city: City, caplog: pytest.LogCaptureFixture) -> None:
    counted = city(lambda *image: True, side_m=300)
    assert len(counted) > 1000
    assert warnings_of(caplog, counted, M=20) == []


def test_nine_groups_or_few_classes_cause_no_warning(city: City) -> None:
    groups = [(number, number, w) for number in range(5) for w in range(2)][:9]
    assert find_selections(city(lambda *image: group_of(2, *image) in groups)) == []
    assert find_selections(city(lambda *image: group_of(2, *image) == (0, 0, 0), side_m=100)) == []


def test_a_few_images_moved_by_rounding_are_ignored(city: City) -> None:
    choose = random.Random(2)

    def mostly(*image: float) -> bool:
        return group_of(2, *image) == (0, 0, 0) or choose.random() < 1e-5

    assert [each.folder for each in find_selections(city(mostly))] == ["processed/train"]
