"""Whole numbers as people write them: 0-5, 7, 12-14."""

from collections.abc import Iterable


def as_ranges(numbers: Iterable[int]) -> str:
    """Return numbers as text, sorted, each once, with those that follow each other as a range."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
