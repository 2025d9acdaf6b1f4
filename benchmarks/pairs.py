"""Times of two sides in pairs: each batch goes to both, in turn, so that other work on the machine meets them alike."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

Batch = TypeVar("Batch")


def time_pairs(
    sides: tuple[Callable[[Batch], object], Callable[[Batch], object]],
    batches: Iterable[Batch],
    clock: Callable[[], float],
) -> Iterator[tuple[float, float]]:
    """Yield the seconds that the two sides take for each batch; they take turns in going first."""
    for number, batch in enumerate(batches):
        seconds = [0.0, 0.0]
        for side in (0, 1) if number % 2 else (1, 0):
            began = clock()
            sides[side](batch)
            seconds[side] = clock() - began
        yield seconds[0], seconds[1]


def ratio(pairs: Sequence[tuple[float, float]], digits: int = 2) -> str:
    """Return the second side's time over the first side's: the median, and the range from 10 to 90 % of the pairs."""
    ratios = statistics.quantiles((second / first for first, second in pairs), n=10)
    low, middle, high = (f"{ratios[tenth]:.{digits}f}" for tenth in (0, 4, 8))
    return f"{middle} ({low} to {high})"


def in_batches(names: Sequence[str], size: int, turns: int) -> list[list[str]]:
    """Return the names in batches, repeated for some turns."""
    return [list(names[begin : begin + size]) for _ in range(turns) for begin in range(0, len(names), size)]
