"""Progress of long work: a bar with rate and time left on a terminal, a plain line now and then in a log."""

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0
logger = logging.getLogger(__name__)


class Progress:
    """Counts units of work, from 0 to `total`; use it as a context manager.

    Args:
        what: What is being done, as in "extracting descriptors".
        total: Number of units, or None if it is not known beforehand.
        unit: What is counted, in the plural.
        on_percentage: Called with a whole number from 0 to 100 each time that it changes.
        done: Units that were done before, as by a run that is resumed: they do not count for the rate.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        unit: str,
        on_percentage: Callable[[int], None] | None = None,
        done: int = 0,
    ) -> None:
        self.what, self.total, self.unit = what, total, unit
        self._on_percentage = on_percentage
        self._percentage = -1
        on_terminal = sys.stderr.isatty()
        # The disabled bar still counts and formats, so that both ways of showing share one count.
        self._bar = tqdm(desc=what, total=total, unit=f" {unit}", disable=not on_terminal, leave=False, initial=done)
        self._log_lines = not on_terminal
        self._done, self._done_before, self._started = done, done, time.monotonic()
        self._last_line = self._started

    def advance(self, units: int = 1, **facts: str) -> None:
        """Count units as done, and show facts such as `loss="1.23"` beside the bar."""
        self._done += units
        if facts:
            self._bar.set_postfix(facts, refresh=False)
        self._bar.update(units)
        now = time.monotonic()
        if self._log_lines and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            logger.info("%s", self._line(facts))
        self._report_percentage()

    def time_for(self, units: int, just_done: int = 0) -> str | None:
        """Return how long so many units take at the rate so far, as in 1:23:45; None before there is one.

        `just_done` are units that are done, and not counted yet.
        """
        rate = self._rate(just_done)
        return tqdm.format_interval(units / rate) if rate else None

    def _rate(self, just_done: int = 0) -> float:
        return (self._done + just_done - self._done_before) / max(time.monotonic() - self._started, 1e-9)

    def _line(self, facts: dict[str, str]) -> str:
        share = f" of {self.total:,} {self.unit} ({self._done / self.total:.0%})" if self.total else f" {self.unit}"
        time_left = self.time_for(self.total - self._done) if self.total else None
        left = f", {time_left} left" if time_left else ""
        shown = "".join(f", {name} {value}" for name, value in facts.items())
        return f"{self.what}: {self._done:,}{share}, {self._rate():,.1f} {self.unit}/s{left}{shown}"

    def _report_percentage(self) -> None:
        if not self.total or self._on_percentage is None:
            return
        percentage = min(100, 100 * self._done // self.total)
        if percentage != self._percentage:
            self._percentage = percentage
            self._on_percentage(percentage)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
