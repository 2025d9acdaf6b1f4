"""The page: the sections in one HTML file that needs nothing else, and asks the network for nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evaluation.report.charts.style import as_css
from evaluation.report.page.blocks import Section
from evaluation.report.sections.outcomes import STATES

TEMPLATES = Path(__file__).parent


def render_page(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """Return the page.

    Args:
        title: What it reports on.
        facts: What stands at its top: pairs of a number and what it is.
        sections: Its parts.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # names of images may hold anything
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    values: dict[str, Any] = {"title": title, "facts": facts, "sections": sections, "states": STATES}
    style = as_css() + (TEMPLATES / "page.css").read_text("utf-8")
    script = (TEMPLATES / "page.js").read_text("utf-8")
    return environment.get_template("page.html").render(
        **values, style=Markup(style), script=Markup(script), raw=Markup
    )
