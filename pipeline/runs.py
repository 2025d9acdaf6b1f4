"""Runs of lines of one folder, as they stand in a list or in another file, and the paths that they are."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from data_manifest.errors import UserError
from pipeline import bytewise
from pipeline.arrays import Letters
from pipeline.texts import Texts

READ_AT_ONCE_BYTES = 32 << 20  # about; runs are read together until they have as much, as those of a partition
_IDLE_PARTS = re.compile(rb"(?:^|(?<=/))(?:\./+)+|(?<=/)/+")  # ./a/b, a/./b and a//b are a/b


@dataclass(frozen=True)
class Run:
    """Lines of one folder that stand together in a file: `length` bytes from `start`.

    Args:
        file: The file.
        start: Where the first line begins.
        length: How many bytes the lines have, with their ends.
        lines: How many of them are paths.
        separator: What each line ends with.
        idle: How many bytes of each line stand before its path, and how many behind it; None where that is not the same
            for all, or the lines must be cleaned in another way.
        sums: Over the names in the lines, the same for the same names in any order; None where they are not known.
    """

    file: Path
    start: int
    length: int
    lines: int
    separator: bytes = b"\n"
    idle: tuple[int, int] | None = (0, 0)
    sums: tuple[int, int] | None = field(default=None, compare=False)  # they follow from the lines

    def read_into(self, content: Letters) -> None:
        """Read the lines into an array of `length`.

        Raises:
            UserError: The file cannot be read.
        """
        try:
            with self.file.open("rb", buffering=0) as file:
                num_bytes = os.preadv(file.fileno(), [content.data], self.start)
        except OSError as error:
            raise UserError(f"{self.file}: cannot be read: {error.strerror}") from error
        if num_bytes != self.length:  # a row that is not read would be lost without a word
            raise _changed(self.file)

    def can_go_on_with(self, other: "Run", most_bytes: int) -> bool:
        """Return whether the lines of another run stand right behind, and both together have at most so many bytes."""
        follows = other.file == self.file and other.start == self.start + self.length
        return follows and self.length + other.length <= most_bytes and self.is_like(other)

    def is_like(self, other: "Run") -> bool:
        """Return whether the lines of another run are written in the same way."""
        return (self.separator, self.idle) == (other.separator, other.idle)

    def with_next(self, other: "Run") -> "Run":
        """Return the lines of both runs, of which the other one stands right behind."""
        sums = add_sums((self.sums, other.sums))
        return replace(self, length=self.length + other.length, lines=self.lines + other.lines, sums=sums)


def _changed(file: Path) -> UserError:
    return UserError(f"{file} has changed while it was being read: run again")


def add_sums(parts: Iterable[tuple[int, int] | None]) -> tuple[int, int] | None:
    """Return the sums of all parts together; None where those of one are not known."""
    one = other = 0
    for sums in parts:
        if sums is None:
            return None
        one, other = (one + sums[0]) % 2**64, (other + sums[1]) % 2**64
    return one, other


def read_runs(runs: Iterable[Run]) -> Iterator[Texts]:
    """Give the paths of runs as `clean_line` gives them, without blank lines.

    Raises:
        UserError: A file cannot be read.
    """
    for together in _read_at_once(runs):
        content, first = _read(together), together[0]
        if first.idle is None:
            lines = content.tobytes().split(b"\n")
            yield Texts.of(path for path in map(clean_line, lines) if path.strip())
        else:
            (before, behind), (starts, ends) = first.idle, bytewise.find_lines(content, first.separator[0])
            # With other lines than when it was looked through, an end could lie before its start.
            if len(starts) != sum(run.lines for run in together) or (ends - starts < before + behind).any():
                raise _changed(first.file)
            yield Texts(content, starts + before, ends - behind)


def _read(together: list[Run]) -> Letters:
    """Return the lines of runs, each with its end."""
    content = np.empty(sum(run.length + 1 for run in together), np.uint8)  # one more: the last line may have no end
    end = 0
    for run in together:
        lines = content[end : end + run.length]
        run.read_into(lines)
        end += run.length
        if content[end - 1] != run.separator[0]:
            content[end] = run.separator[0]
            end += 1
    return content[:end]


def _read_at_once(runs: Iterable[Run]) -> Iterator[list[Run]]:
    """Give runs together that are written in one way, and are not too much to be read at once."""
    together: list[Run] = []
    num_bytes = 0
    for run in runs:
        if together and (not run.is_like(together[0]) or num_bytes > READ_AT_ONCE_BYTES):
            yield together
            together, num_bytes = [], 0
        together.append(run)
        num_bytes += run.length
    if together:
        yield together


def clean_line(line: bytes) -> bytes:
    """Return a line's path: without the end that Windows gives it, and of the many ways to write it the shortest."""
    return _IDLE_PARTS.sub(b"", line.rstrip(b"\r"))
