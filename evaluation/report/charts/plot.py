"""A chart with its data: inline in the page as SVG, beside the page as PNG and Parquet."""

import html
import io
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
from matplotlib.figure import Figure

from data_manifest.tables import write_table
from evaluation.report.charts.style import COLOUR
from evaluation.report.format_values import format_column

FIGURES = "figures"
DPI = 200
MAX_ROWS = 40  # of the data table in the page
MIN_BARS = 3  # fewer are given as a sentence
MARK = "mark:"  # start of the URL of a mark that opens a query


def mark_url(anchor: str, label: str, is_first: bool) -> str:
    """Return the URL that makes a part of a mark a link with a tooltip; the keyboard reaches its first part."""
    return f"{MARK}{0 if is_first else -1}|{anchor}|{label}"


@dataclass(frozen=True, eq=False)
class Plot:
    """A chart of the report.

    Args:
        name: Its file name and its id in the page.
        title: Shown above it.
        alt: Description in full sentences, for screen readers and instead of a chart with few bars.
        figure: The drawing.
        data: The numbers drawn.
        note: Shown below it.
        bars: Number of bars or points, if the chart consists of them.
        centre: Latitude and longitude of the centre of a map, in degrees.
    """

    name: str
    title: str
    alt: str
    figure: Figure
    data: pl.DataFrame
    note: str = ""
    bars: int = MIN_BARS
    centre: tuple[float, float] | None = None

    @property
    def png(self) -> str:
        """Path of the picture, relative to the page."""
        return f"{FIGURES}/{self.name}/{self.name}.png"

    @property
    def parquet(self) -> str:
        """Path of the data, relative to the page."""
        return f"{FIGURES}/{self.name}/{self.name}.parquet"

    @property
    def rows(self) -> list[list[str]]:
        """The data as text for the table below the chart; empty if there are too many rows."""
        if len(self.data) > MAX_ROWS:
            return []
        return list(map(list, zip(*map(format_column, self.data.iter_columns()), strict=True)))

    @property
    def numbers(self) -> list[int]:
        """Positions of the numeric columns."""
        return [position for position, kind in enumerate(self.data.dtypes) if kind.is_numeric()]

    def write(self, folder: Path) -> None:
        """Write the picture and the data to a folder."""
        (folder / FIGURES).mkdir(exist_ok=True)
        strings = {pa.large_string(): pa.string(), pa.string_view(): pa.string()}
        schema = [field.with_type(strings.get(field.type, field.type)) for field in self.data.to_arrow().schema]
        write_table(self.data, folder / self.parquet, pa.schema(schema))
        self.figure.savefig(folder / self.png, dpi=DPI, facecolor=COLOUR["surface"], metadata={"Software": None})

    def svg(self) -> str:
        """Return the drawing as SVG with unique ids and with the CSS variables of the page as colours."""
        buffer = io.StringIO()
        self.figure.savefig(buffer, format="svg", dpi=DPI, metadata={"Date": None, "Creator": None})
        svg = buffer.getvalue()
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
        referenced = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
        svg = re.sub(r' id="([^"]+)"', lambda id: f' id="{self.name}-{id[1]}"' if id[1] in referenced else "", svg)
        svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{self.name}-", svg)
        for name, colour in COLOUR.items():
            svg = svg.replace(colour, f"var(--{name})")
        role = "group" if MARK in svg else "img"
        label = f'role="{role}" aria-label="{html.escape(self.alt)}"'
        link = r'<a class="mark" tabindex="\1" href="#\2" aria-label="\3"><title>\3</title>'
        svg = re.sub(rf'<a xlink:href="{MARK}([^"|]+)\|([^"|]+)\|([^"]+)"[^>]*>', link, svg)
        svg = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', lambda _: label, svg, count=1)
        return re.sub(r"\n\s*", "\n", svg)
