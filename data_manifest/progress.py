"""Progress of long work: a bar on a terminal, a line every 10 seconds in a log."""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from tqdm import tqdm

SECONDS_TO_FIRST_LINE, SECONDS_BETWEEN_LINES = 1.0, 10.0
Percentage = Callable[[int], None] | None  # called with the percentage done, 0 to 100
logger = logging.getLogger(__name__)


class Heartbeat:
    """Calls a function after 1 second and then every 10 seconds while a context lasts."""

    def __init__(self, show: Callable[[], object]) -> None:
        self._show, self._ended = show, threading.Event()

    def _run(self) -> None:
        seconds = SECONDS_TO_FIRST_LINE
        while not self._ended.wait(seconds):
            self._show()
            seconds = SECONDS_BETWEEN_LINES

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Log the elapsed time of work that cannot be counted, after 1 second; also a decorator."""
    started = time.monotonic()
    with Heartbeat(lambda: logger.info("%s: %.0f s so far", what, time.monotonic() - started)):
        yield


class Progress:
    """Counts units of work from 0 to `total`, as a context manager.

    Args:
        what: The work, such as "extracting descriptors".
        total: Number of units; None if unknown.
        unit: Plural name of a unit.
        on_percentage: Called whenever the percentage changes.
        done: Units done before, by an interrupted run; they do not count for the rate.
    """

    def __init__(
        self, what: str, total: int | None, unit: str, on_percentage: Percentage = None, done: int = 0
    ) -> None:
        self.what, self.total, self.unit = what, total, unit
        self._on_percentage = on_percentage
        self._percentage = -1
        on_terminal = sys.stderr.isatty()
        self._bar = tqdm(
            desc=what,
            total=total,
            unit=f" {unit}",
            disable=not on_terminal,
            leave=False,
            initial=done,
            delay=SECONDS_TO_FIRST_LINE,  # a server's searches are many and short
        )
        self._log_lines = not on_terminal
        self._done, self._done_before, self._started = done, done, time.monotonic()
        self._shown_facts: dict[str, str] = {}
        self._heartbeat = Heartbeat(self._log_line)

    def advance(self, units: int = 1, **facts: str) -> None:
        """Count units as done, and show facts such as `loss="1.23"` next to the bar."""
        self._done += units
        self._shown_facts = facts
        if facts:
            self._bar.set_postfix(facts, refresh=False)
        self._bar.update(units)
        if self.total and self._on_percentage is not None:
            percentage = min(100, 100 * self._done // self.total)
            if percentage != self._percentage:
                self._percentage = percentage
                self._on_percentage(percentage)

    def time_for(self, units: int, just_done: int = 0) -> str | None:
        """Return the time that units take at the current rate, as in 1:23:45; None before there is a rate.

        `just_done` units are done but not counted yet.
        """
        rate = self._rate(just_done)
        return tqdm.format_interval(units / rate) if rate else None

    def _rate(self, just_done: int = 0) -> float:
        return (self._done + just_done - self._done_before) / max(time.monotonic() - self._started, 1e-9)

    def _log_line(self) -> None:
        share = f" of {self.total:,} {self.unit} ({self._done / self.total:.0%})" if self.total else f" {self.unit}"
        time_left = self.time_for(self.total - self._done) if self.total else None
        left = f", {time_left} left" if time_left else ""
        shown = "".join(f", {name} {value}" for name, value in self._shown_facts.items())
        rate = f", {self._rate():,.1f} {self.unit}/s" if self._rate() else ""
        logger.info("%s: %s%s%s%s%s", self.what, f"{self._done:,}", share, rate, left, shown)

    def __enter__(self) -> Self:
        if self._log_lines:
            self._heartbeat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heartbeat.__exit__()
        self._bar.close()


def share(on_percentage: Percentage, begin: int, end: int) -> Percentage:
    """Return a callback for a part of the work, from `begin` to `end` percent of the whole."""
    if on_percentage is None:
        return None
    return lambda percentage: on_percentage(begin + percentage * (end - begin) // 100)
