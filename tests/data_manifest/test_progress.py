import io
import logging
import sys
import threading
import time
from collections.abc import Callable

import pytest

from data_manifest import progress as progress_module
from data_manifest.progress import Progress, working
from tests.helpers import progress_lines_on_request


class Clock:
    """Seconds that pass when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


Beat = Callable[[], object]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def beat(monkeypatch: pytest.MonkeyPatch) -> Beat:
    return progress_lines_on_request(monkeypatch)


def test_a_line_comes_only_from_the_heartbeat(clock: Clock, beat: Beat, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "data_manifest.progress")
    with Progress("extracting descriptors", 2000, "images") as progress:
        for number in range(10):
            clock.now += 2.5
            progress.advance(100, loss="1.23")
            if number in (3, 7):
                beat()
    assert caplog.messages == [
        "extracting descriptors: 400 of 2,000 images (20%), 40.0 images/s, 00:40 left, loss 1.23",
        "extracting descriptors: 800 of 2,000 images (40%), 40.0 images/s, 00:30 left, loss 1.23",
    ]


def test_a_first_line_comes_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = threading.Event()
    monkeypatch.setattr(progress_module, "SECONDS_TO_FIRST_LINE", 0.01)
    monkeypatch.setattr(progress_module.logger, "info", lambda *arguments: shown.set())
    with Progress("listing", 3, "folders"):
        assert shown.wait(30)
    shown.clear()
    with working("publishing"):
        assert shown.wait(30)


def test_no_line_comes_after_the_end(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "data_manifest.progress")
    before = set(threading.enumerate())
    for _ in range(20):
        with Progress("listing", 3, "folders") as progress, working("publishing"):
            progress.advance(3)
    for thread in {*threading.enumerate()} - before:
        thread.join(30)
        assert not thread.is_alive()
    assert caplog.messages == []


def test_what_was_done_before_does_not_count_for_the_rate(
    clock: Clock, beat: Beat, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "data_manifest.progress")
    told: list[int] = []
    with Progress("training", 2000, "images", told.append, done=1000) as progress:
        assert progress.time_for(100) is None
        clock.now += 20
        progress.advance(200)
        beat()
        assert progress.time_for(36000) == "1:00:00"
    assert caplog.messages == ["training: 1,200 of 2,000 images (60%), 10.0 images/s, 01:20 left"]
    assert told == [60]


def test_an_unknown_total(clock: Clock, beat: Beat, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "data_manifest.progress")
    told: list[int] = []
    with Progress("listing", None, "files", told.append) as progress:
        clock.now += 20
        progress.advance(1000)
        beat()
    assert caplog.messages == ["listing: 1,000 files, 50.0 files/s"]
    assert told == []


def test_percentages_are_told_when_they_change() -> None:
    told: list[int] = []
    with Progress("x", 1000, "images", told.append) as progress:
        for _ in range(1000):
            progress.advance()
    assert told == list(range(101))


def test_percentages_end_at_100_and_nothing_to_do_is_no_trouble() -> None:
    told: list[int] = []
    with Progress("x", 3, "images", told.append) as progress:
        progress.advance(2)
        progress.advance(2)
    with Progress("x", 0, "images", told.append) as progress:
        progress.advance(0)
    assert told == [66, 100]


def test_a_terminal_gets_a_bar_and_no_lines(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "data_manifest.progress")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("training", 40, "images") as progress:
        clock.now += 60
        progress.advance(10, loss="1.23")
        progress._bar.refresh()
    assert caplog.messages == []
    assert "training" in terminal.getvalue()
    assert "10/40" in terminal.getvalue()
    assert "loss=1.23" in terminal.getvalue()


def test_short_work_leaves_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("searching", 40, "images") as progress:
        progress.advance(40)
    assert "searching" not in terminal.getvalue()


def test_an_error_passes_through() -> None:
    with pytest.raises(KeyError), Progress("x", 3, "images"):
        raise KeyError("inside")
