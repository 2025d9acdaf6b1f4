"""The parts of a section: charts, tables, notes, commands and galleries. Each is rendered by `<kind>.html`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_manifest.images.images_folder import ImagesFolder
from evaluation.report.charts.plot import MIN_BARS, Plot
from evaluation.report.make_thumbnails import Thumbnail


@dataclass(frozen=True)
class Tile:
    """A main figure, its label and a detail."""

    value: str
    label: str
    detail: str = ""


@dataclass(frozen=True)
class Head:
    """The head of the page: title, pairs of a label and a fact, main figures, and sentences on them."""

    title: str
    facts: Sequence[tuple[str, str]]
    tiles: Sequence[Tile]
    sentences: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table. `numbers` and `paths` are columns: right-aligned, and with long words. `strong` are rows in bold."""

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
    """A paragraph, highlighted if it is a warning."""

    text: str
    warning: bool = False
    kind: str = "note"


@dataclass(frozen=True)
class Charts:
    """Charts side by side, with an optional heading; `nested` if they are below a `Heading`.

    Charts of fewer than `MIN_BARS` bars are given as sentences.
    """

    plots: Sequence[Plot]
    heading: str = ""
    lead: str = ""
    nested: bool = False
    kind: str = "charts"

    @property
    def drawn(self) -> list[Plot]:
        """The charts with enough bars."""
        return [plot for plot in self.plots if plot.bars >= MIN_BARS]

    @property
    def sentences(self) -> list[str]:
        """The descriptions of the other charts."""
        return [plot.alt for plot in self.plots if plot.bars < MIN_BARS]


@dataclass(frozen=True)
class Heading:
    """The title of the blocks that follow."""

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
    """Queries with their matches; `thumbnails` by file, `counts` are label and number of cards of each kind."""

    cards: Sequence[Any]
    thumbnails: Mapping[ImagesFolder, Thumbnail]
    counts: Mapping[str, tuple[str, int]]
    nested: bool = False
    kind: str = "gallery"


Block = Heading | Table | Note | Charts | Code | Gallery


@dataclass(frozen=True)
class Section:
    """A section of the page: anchor, title, an introduction and its blocks."""

    anchor: str
    title: str
    lead: str
    blocks: Sequence[Block] = field(default_factory=tuple)

    @property
    def plots(self) -> list[Plot]:
        """All drawn charts of the section."""
        return [plot for block in self.blocks if isinstance(block, Charts) for plot in block.drawn]
