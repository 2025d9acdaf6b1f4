import dataclasses
import re
from pathlib import Path

import polars as pl
import pytest

from evaluation.report.charts.plot import Plot
from evaluation.report.charts.style import COLOUR, LIGHT_AND_DARK, as_css, new_chart


@pytest.fixture
def plot() -> Plot:
    figure, axes = new_chart()
    axes.bar([1, 2], [3, 4], color=COLOUR["correct"], hatch="//", edgecolor=COLOUR["surface"])
    axes.scatter([1, 2], [3, 4], color=COLOUR["incorrect"])
    return Plot("bars", "Bars", 'two "bars" & a <tag>', figure, pl.DataFrame({"name": ["a", "b"], "value": [3, 4]}))


def test_svg_has_the_css_variables_of_the_page_as_colours(plot: Plot) -> None:
    svg = plot.svg()
    assert {"var(--correct)", "var(--incorrect)", "var(--muted)", "var(--grid)"} <= set(
        re.findall(r"var\(--\w+\)", svg)
    )
    assert not [colour for colour in COLOUR.values() if colour in svg]


def test_svg_ids_are_unique_and_all_references_resolve(plot: Plot) -> None:
    svg = plot.svg()
    ids = re.findall(r' id="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert all(each.startswith("bars-") for each in ids)
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg)) == set(ids)


def test_svg_has_an_escaped_description(plot: Plot) -> None:
    assert 'role="img" aria-label="two &quot;bars&quot; &amp; a &lt;tag&gt;"' in plot.svg()


def test_data_table_is_left_out_if_it_is_long(plot: Plot) -> None:
    assert plot.rows == [["a", "3"], ["b", "4"]]
    many = pl.DataFrame({"value": range(41)})
    assert dataclasses.replace(plot, data=many).rows == []


def test_write_saves_png_and_parquet(plot: Plot, tmp_path: Path) -> None:
    plot.write(tmp_path)
    assert pl.read_parquet(tmp_path / plot.parquet).rows() == [("a", 3), ("b", 4)]
    assert (tmp_path / plot.png).stat().st_size > 1000


def luminance(colour: str) -> float:
    """Return the relative luminance as defined by WCAG."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("index", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("role", ["ink", "muted", "accent", "correct", "incorrect"])
def test_text_has_enough_contrast(role: str, index: int) -> None:
    for ground in ("surface", "panel"):
        pair = sorted(luminance(LIGHT_AND_DARK[each][index]) for each in (role, ground))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, "WCAG AA"


@pytest.mark.parametrize("index", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("role", ["unknown", "second", *(f"group{number}" for number in range(8))])
def test_marks_have_enough_contrast(role: str, index: int) -> None:
    for ground in ("surface", "panel"):
        pair = sorted(luminance(LIGHT_AND_DARK[each][index]) for each in (role, ground))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 3, "WCAG AA"


def test_colours_of_roles_are_distinct() -> None:
    assert len(set(COLOUR.values())) == len(COLOUR), "svg() replaces colours by value"
    assert as_css().count("--ink:") == 2
