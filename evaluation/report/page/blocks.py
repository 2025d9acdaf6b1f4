"""What a section of the page is made of: charts, tables, notes and pictures, one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluation.report.charts.plot import Plot


@dataclass(frozen=True)
class Table:
    """A table; `numbers` are the columns aligned to the right, `strong` the rows that stand out, and
    `paths` columns of long words, broken where a line ends."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()
    strong: Sequence[int] = ()
    paths: Sequence[int] = ()
    folded: bool = False
    kind: str = "table"


@dataclass(frozen=True)
class Note:
    """A paragraph; a warning stands out."""

    text: str
    warning: bool = False
    kind: str = "note"


@dataclass(frozen=True)
class Charts:
    """Charts side by side, as many as fit, under a heading with a sentence of its own if they have one.

    `nested` is what stands below a `Heading`.
    """

    plots: Sequence[Plot]
    heading: str = ""
    lead: str = ""
    nested: bool = False
    kind: str = "charts"


@dataclass(frozen=True)
class Heading:
    """What the following blocks are on."""

    text: str
    kind: str = "heading"


@dataclass(frozen=True)
class Code:
    """A command to copy."""

    text: str
    caption: str
    kind: str = "code"


@dataclass(frozen=True)
class Gallery:
    """Queries with their predictions; `cards` is what `pictures` makes."""

    cards: Sequence[Any]
    counts: dict[str, int]
    nested: bool = False
    kind: str = "gallery"


Block = Heading | Table | Note | Charts | Code | Gallery


@dataclass(frozen=True)
class Section:
    """A section of the page, with an anchor and a sentence on what it shows."""

    anchor: str
    title: str
    lead: str
    blocks: Sequence[Block] = field(default_factory=tuple)

    @property
    def plots(self) -> list[Plot]:
        """Its charts."""
        return [plot for block in self.blocks if isinstance(block, Charts) for plot in block.plots]
