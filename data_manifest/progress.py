"""Progress of long work: a bar with rate and time left on a terminal, a plain line now and then in a log."""

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0
Percentage = Callable[[int], None] | None  # what is told of progress, as a whole number from 0 to 100
logger = logging.getLogger(__name__)


class Progress:
    """Counts units of work, from 0 to `total`; use it as a context manager.

    Args:
        what: What is being done, as in "extracting descriptors".
        total: Number of units, or None if it is not known beforehand.
        unit: What is counted, in the plural.
        on_percentage: Called with a whole number from 0 to 100 each time that it changes.
    """

    def __init__(self, what: str, total: int | None, unit: str, on_percentage: Percentage = None) -> None:
        self.what, self.total, self.unit = what, total, unit
        self._on_percentage = on_percentage
        self._percentage = -1
        on_terminal = sys.stderr.isatty()
        # The disabled bar still counts and formats, so that both ways of showing share one count.
        self._bar = tqdm(desc=what, total=total, unit=f" {unit}", disable=not on_terminal, leave=False)
        self._log_lines = not on_terminal
        self._done, self._started = 0, time.monotonic()
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
            logger.info("%s", self._line(now, facts))
        self._report_percentage()

    def _line(self, now: float, facts: dict[str, str]) -> str:
        rate = self._done / max(now - self._started, 1e-9)
        share = f" of {self.total:,} {self.unit} ({self._done / self.total:.0%})" if self.total else f" {self.unit}"
        left = f", {tqdm.format_interval((self.total - self._done) / rate)} left" if self.total and rate else ""
        shown = "".join(f", {name} {value}" for name, value in facts.items())
        return f"{self.what}: {self._done:,}{share}, {rate:,.1f} {self.unit}/s{left}{shown}"

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


def share(on_percentage: Percentage, begin: int, end: int) -> Percentage:
    """Return a listener to a part of the work, which is from `begin` to `end` percent of the whole."""
    if on_percentage is None:
        return None
    return lambda percentage: on_percentage(begin + percentage * (end - begin) // 100)
