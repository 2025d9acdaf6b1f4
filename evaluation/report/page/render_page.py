"""Render the page: one HTML file that loads nothing from the network."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evaluation.report.charts.style import as_css
from evaluation.report.page.blocks import Section

TEMPLATES = Path(__file__).parent


def render_page(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """Return the page as HTML.

    Args:
        title: What was evaluated.
        facts: Figures at the top of the page: pairs of a value and its label.
        sections: The sections of the page.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # file names may contain markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (Markup((TEMPLATES / name).read_text("utf-8")) for name in ("page.css", "page.js"))
    return environment.get_template("page.html").render(
        title=title, facts=facts, sections=sections, style=Markup(as_css()) + style, script=script, raw=Markup
    )
