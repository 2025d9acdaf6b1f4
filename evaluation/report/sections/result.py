"""The result on one test set of a report, which may have several: what is shown of each bears its name then."""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import polars as pl

from data_manifest.tables import read_table
from evaluation.report.charts.plot import Plot
from evaluation.report.page.blocks import Charts, Heading
from evaluation.report.sections.outcomes import read_outcomes
from evaluation.report.sources import Tested


@dataclass(frozen=True, eq=False)
class Result:
    """An evaluation with its tables, and what became of each query; `mark` tells it from others, if there are any."""

    tested: Tested
    recalls: pl.DataFrame
    predictions: pl.DataFrame
    outcomes: pl.DataFrame
    mark: str = ""

    @classmethod
    def read(cls, tested: Tested, mark: str = "") -> Self:
        """Read the tables of an evaluation."""
        recalls, predictions = (read_table(tested.evaluation.folder, name) for name in ("recalls", "predictions"))
        return cls(tested, recalls, predictions, read_outcomes(tested, predictions), mark)

    def heading(self) -> list[Heading]:
        """Return what stands above its part of a section, if there are others."""
        return [Heading(self.tested.name)] if self.mark else []

    def charts(self, plots: Sequence[Plot | None], heading: str = "", lead: str = "") -> Charts:
        """Return those charts that there are, under names that no other test set's have."""
        return Charts(
            [dataclasses.replace(plot, name=plot.name + self.mark) for plot in plots if plot],
            heading,
            lead,
            nested=bool(self.mark),
        )


def read_results(tested: Sequence[Tested]) -> list[Result]:
    """Return the results on test sets; each has a mark of its own, be it that two have one name."""
    if len(tested) == 1:
        return [Result.read(tested[0])]
    names = [re.sub(r"\W+", "_", each.name) for each in tested]
    marks = [f"-{name}" if names.count(name) == 1 else f"-{name}_{place}" for place, name in enumerate(names, start=1)]
    return [Result.read(each, mark) for each, mark in zip(tested, marks, strict=True)]
