import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from pipeline.groups.classes import count_classes
from pipeline.groups.preselected_images import PUBLISHED, find_selections, warn_if_preselected
from pipeline.groups.settings import GroupSettings

Floats = npt.NDArray[np.float64]
Keep = Callable[[Floats, Floats, Floats], npt.NDArray[np.bool_]]
City = Callable[..., pl.DataFrame]


def in_groups(bins: int, groups: Sequence[tuple[int, int, int]]) -> Keep:
    """Return a function that accepts images of the groups with these u, v and w by the published rule, L = `bins`."""
    numbers = [(5 * u + v) * bins + w for u, v, w in groups]
    return lambda east, north, heading: np.isin(
        (5 * (east // 10 % 5) + north // 10 % 5) * bins + heading // 30 % bins, numbers
    )


def everywhere(east: Floats, north: Floats, heading: Floats) -> npt.NDArray[np.bool_]:
    return np.ones(len(east), bool)


@pytest.fixture
def city() -> City:
    """Return a function that counts those images of a square city, by published class, that `keep` accepts."""

    def city(keep: Keep, side_m: int = 1000) -> pl.DataFrame:
        rng = np.random.default_rng(1)
        east, north = rng.uniform(0, side_m, (2, 400_000))
        images = pl.LazyFrame({"utm_east": east, "utm_north": north, "heading": rng.integers(360, size=400_000) * 1.0})
        kept = images.filter(pl.lit(keep(*images.collect().to_numpy().T)))
        constants = {"utm_zone": pl.lit(10, pl.Int8), "utm_band": pl.lit("S"), "latitude": pl.lit(None, pl.Float64)}
        return count_classes(kept.with_columns(**constants), PUBLISHED)

    return city


def warnings_of(caplog: pytest.LogCaptureFixture, counted: pl.DataFrame, **values: Any) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        warn_if_preselected(counted, GroupSettings(**values))
    return caplog.messages


def test_images_of_eight_groups_are_recognised(city: City, caplog: pytest.LogCaptureFixture) -> None:
    groups = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (4, 2, 1), (3, 2, 1), (2, 2, 0), (1, 4, 1), (0, 4, 0)]
    counted = city(in_groups(2, groups))
    for values in ({"M": 20}, {"alpha": 60}, {"N": 4}, {"L": 3}):
        (message,) = warnings_of(caplog, counted, **values)
        assert "with M = 10, alpha = 30, N = 5, L = 2 nearly all images fall in 8 of 50 groups" in message
        assert "SF-XL's processed/train" in message
    assert warnings_of(caplog, counted) == []
    assert warnings_of(caplog, counted, min_images_per_class=3, years="2013-") == []


def test_images_of_one_group_of_300_are_recognised(city: City, caplog: pytest.LogCaptureFixture) -> None:
    counted = city(in_groups(12, [(0, 0, 0)]), side_m=4000)
    (message,) = warnings_of(caplog, counted, N=4)
    assert "with M = 10, alpha = 30, N = 5, L = 12 nearly all images fall in 1 of 300 groups" in message
    assert "SF-XL's small/train" in message
    assert warnings_of(caplog, counted, L=12) == []
    assert warnings_of(caplog, counted) == [], "the published values make the same classes of it"


def test_all_images_of_a_city_cause_no_warning(city: City, caplog: pytest.LogCaptureFixture) -> None:
    counted = city(everywhere, side_m=300)
    assert len(counted) > 1000
    assert warnings_of(caplog, counted, M=20) == []


def test_nine_groups_or_few_classes_cause_no_warning(city: City) -> None:
    groups = [(number, number, w) for number in range(5) for w in range(2)][:9]
    assert find_selections(city(in_groups(2, groups))) == []
    assert find_selections(city(in_groups(2, [(0, 0, 0)]), side_m=100)) == []


def test_a_few_images_moved_by_rounding_are_ignored(city: City) -> None:
    def mostly(*image: Floats) -> npt.NDArray[np.bool_]:
        moved = np.random.default_rng(2).random(400_000) < 1e-5
        assert moved.any()
        return moved | in_groups(2, [(0, 0, 0)])(*image)

    assert [each.folder for each in find_selections(city(mostly))] == ["processed/train"]
