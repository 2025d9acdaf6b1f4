"""The forecast: hits of the best eviction, and the waiting that follows."""

import itertools
import logging
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.data.reads.lookahead.conftest import Machine
from training.data.reads.lookahead import forecast
from training.data.reads.lookahead.forecast import Forecast, describe, forecast_hits, simulate_belady, wait_share
from training.data.reads.read_order import NEVER, find_next_uses


def most_hits(order: list[int], capacity: int, cached: frozenset[int]) -> int:
    """Return the most hits of any eviction, by trying all."""
    if not order:
        return 0
    held = cached | {order[0]}
    kept = [held] if len(held) <= capacity else [held - {image} for image in held]
    return (order[0] in cached) + max(most_hits(order[1:], capacity, each) for each in kept)


@settings(max_examples=60, deadline=None)
@given(
    order=st.lists(st.integers(0, 4), min_size=1, max_size=9),
    capacity=st.integers(0, 4),
    cached=st.frozensets(st.integers(0, 4)),
)
def test_no_eviction_has_more_hits(order: list[int], capacity: int, cached: frozenset[int]) -> None:
    cached = frozenset(itertools.islice(sorted(cached), capacity))
    reads, spaces = np.array(order), np.full(5, 10)
    next_uses = find_next_uses(reads, 0, np.full(5, NEVER))
    hits = simulate_belady(reads, next_uses, spaces, 10 * capacity + 9, np.array(sorted(cached), np.int64))
    assert hits.sum() == most_hits(order, capacity, cached)


@pytest.mark.parametrize("num_images", [0.5, 45, 90, 1000])
def test_forecast_is_what_happens(machine: Callable[..., Machine], num_images: float) -> None:
    run = machine(num_images)
    expected = forecast_hits(run.reads, 0, run.contents.space > 0, run.limit)
    with run.lookahead.running():
        run.train()
    hits = [run.lookahead.hits[epoch] / run.lookahead.reads[epoch] for epoch in run.reads.epochs]
    assert len(expected) == len(hits) == 8
    if num_images in (0.5, 1000):
        assert hits == pytest.approx(expected)
    else:  # the images that are read ahead take a part of the cache
        assert np.mean(expected) - 0.2 < np.mean(hits) <= np.mean(expected)


def test_some_images_stand_for_all(machine: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch) -> None:
    run = machine(60)
    exact = forecast_hits(run.reads, 2, run.contents.space > 0, run.limit)
    monkeypatch.setattr(forecast, "MAX_SIMULATED", 150)
    estimated = forecast_hits(run.reads, 2, run.contents.space > 0, run.limit)
    assert len(estimated) == len(exact) == 6
    assert np.mean(estimated) == pytest.approx(np.mean(exact), abs=0.15)


def test_cached_images_are_hits_from_the_first_epoch(machine: Callable[..., Machine]) -> None:
    run = machine(1000)
    everything = np.ones(run.reads.num_images, bool)
    assert forecast_hits(run.reads, 0, everything, run.limit) == [1.0] * 8


def test_waiting() -> None:
    assert wait_share(90, 180, 0.0) == pytest.approx(0.5)
    assert wait_share(90, 180, 0.5) == 0
    assert wait_share(90, 180, 1.0) == 0
    assert wait_share(200, 180, 0.0) == 0


def test_text() -> None:
    text = describe(90.4, 180, [0.0, 0.0, 0.1, 0.3, 0.4, 0.6, 0.4, 0.6], 0, 2, 40_000_000_000)
    assert text == (
        "store 90 images/s, network 180: 50 % waiting without a cache; with --cache-gb 40, about 8 % from epoch 5, "
        "when 50 % of the images read are in it"
    )
    assert "about 50 % from epoch 3, when 0 % of" in describe(90, 180, [0.0], 2, 8, 10**9)


def test_it_is_logged_once(machine: Callable[..., Machine], caplog: pytest.LogCaptureFixture) -> None:
    run = machine(1000)
    run.lookahead.fetched, run.lookahead.fetch_s = 1000, 10.0
    expected = Forecast(run.lookahead, run.reads, run.contents.space > 0, run.limit)
    with caplog.at_level(logging.INFO):
        for batch in range(300):
            expected.observe(0, 5.0 + batch * 0.02)  # 5 images in each batch
        assert expected._thread is not None
        expected._thread.join()
    (message,) = [message for message in caplog.messages if "store" in message]
    assert message.startswith("store 100 images/s, network 250: 60 % waiting")


def test_nothing_is_logged_if_the_cache_has_nearly_all_images(machine: Callable[..., Machine]) -> None:
    run = machine(1000)
    expected = Forecast(run.lookahead, run.reads, run.contents.space > 0, run.limit)
    for batch in range(300):
        expected.observe(0, batch * 0.02)
    assert expected._thread is None
    assert not expected._is_measuring
