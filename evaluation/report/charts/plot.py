"""A chart with its data: inline in the page as SVG, beside the page as PNG and Parquet."""

import io
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
from matplotlib.figure import Figure

from data_manifest.tables import write_table
from evaluation.report.charts.style import COLOUR
from evaluation.report.text import column_text

FIGURES = "figures"
PNG_DPI = 200
RASTER_DPI = 200
MOST_ROWS = 40  # that the page shows of a chart's data


@dataclass(frozen=True, eq=False)
class Plot:
    """A chart of the report.

    Args:
        name: Names its files, and its place in the page.
        title: Stands above it.
        alt: What one sees, for readers who do not see it.
        figure: The drawing.
        data: What is drawn.
        note: Stands below it.
    """

    name: str
    title: str
    alt: str
    figure: Figure
    data: pl.DataFrame
    note: str = ""

    @property
    def png(self) -> str:
        """Where the picture lies, from the page."""
        return f"{FIGURES}/{self.name}/{self.name}.png"

    @property
    def parquet(self) -> str:
        """Where the data lie, from the page."""
        return f"{FIGURES}/{self.name}/{self.name}.parquet"

    @property
    def rows(self) -> list[list[str]]:
        """The data as a reader's table, for those who do not see the chart; none where they are many."""
        if len(self.data) > MOST_ROWS:
            return []
        return list(map(list, zip(*map(column_text, self.data.iter_columns()), strict=True)))

    @property
    def numbers(self) -> list[int]:
        """Which columns of its data are numbers."""
        return [place for place, kind in enumerate(self.data.dtypes) if kind.is_numeric()]

    def write(self, folder: Path) -> None:
        """Write picture and data below a folder."""
        (folder / FIGURES).mkdir(exist_ok=True)
        write_table(self.data, folder / self.parquet, _schema_of(self.data))
        self.figure.savefig(folder / self.png, dpi=PNG_DPI, facecolor=COLOUR["surface"], metadata={"Software": None})

    def svg(self) -> str:
        """Return the drawing for a page: its colours follow the page's, and its ids are its own."""
        buffer = io.StringIO()
        self.figure.savefig(buffer, format="svg", dpi=RASTER_DPI, metadata={"Date": None, "Creator": None})
        return _for_page(buffer.getvalue(), self.name, self.alt)


def _schema_of(frame: pl.DataFrame) -> pa.Schema:
    plain = {pa.large_string(): pa.string(), pa.string_view(): pa.string()}
    schema = frame.to_arrow().schema
    return pa.schema([field.with_type(plain.get(field.type, field.type)) for field in schema])


def _for_page(svg: str, name: str, alt: str) -> str:
    drawing = svg[svg.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', drawing))
    drawing = re.sub(r' id="([^"]+)"', lambda match: f' id="{name}-{match[1]}"' if match[1] in used else "", drawing)
    drawing = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", drawing)
    for role, colour in COLOUR.items():
        drawing = drawing.replace(colour, f"var(--{role})")
    drawing = re.sub(
        r'width="[\d.]+pt" height="[\d.]+pt"', f'role="img" aria-label="{_escaped(alt)}"', drawing, count=1
    )
    return re.sub(r"\n\s*", "\n", drawing)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
