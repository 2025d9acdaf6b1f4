"""Render the page: one HTML file that loads nothing from the network."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evaluation.report.charts.style import as_css
from evaluation.report.page.blocks import Head, Section

TEMPLATES = Path(__file__).parent


def render_page(head: Head, sections: Sequence[Section]) -> str:
    """Return the page as HTML.

    Args:
        head: Title and main figures.
        sections: The sections of the page.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # file names may contain markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (Markup(_read(name)) for name in ("page.css", "page.js"))
    return environment.get_template("page.html").render(
        head=head, sections=sections, style=Markup(base_style()) + style, script=script, raw=Markup
    )


def base_style() -> str:
    """Return the style that the report shares with the page of the server, as CSS."""
    return as_css() + _read("base.css")


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8")
