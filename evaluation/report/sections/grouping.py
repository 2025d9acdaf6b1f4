"""The grouping as a reader sees it: which groups there are, and the colour that each has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from evaluation.report.charts.style import COLOUR, GROUP_COLOURS


@dataclass(frozen=True)
class Grouping:
    """M, alpha, N and L, the groups that are trained on, and those that have a colour of their own.

    A reader tells only a few colours apart, so that there is one for each of the first groups trained on, and grey for
    the others.
    """

    M: float
    alpha: float
    N: int
    L: int
    trained: Sequence[int]
    coloured: Sequence[int]

    @classmethod
    def of(cls, settings: Mapping[str, Any], groups: Sequence[int], trained: Sequence[int]) -> Self:
        """Take the settings of a groups artifact, its groups that have classes, and those trained on, if any are."""
        values = {name: settings[name] for name in ("M", "alpha", "N", "L")}
        return cls(**values, trained=trained, coloured=(trained or groups)[: len(GROUP_COLOURS)])

    def colour(self, group: int) -> str:
        """Return a group's colour."""
        return GROUP_COLOURS[self.coloured.index(group)] if group in self.coloured else COLOUR["unknown"]

    def parts(self, group: int) -> tuple[int, int, int]:
        """Return u, v and w of a group: the cell's place modulo N, eastward and northward, and the bin's modulo L."""
        return group // self.L // self.N, group // self.L % self.N, group % self.L
