"""The site builds without a warning, and shows what is generated from the code."""

import importlib.util
from pathlib import Path

import pytest

from tests.helpers import run_module

MISSING = [name for name in ("furo", "myst_parser", "sphinx") if importlib.util.find_spec(name) is None]


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}; see the extra docs")
def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    words = ("--fail-on-warning", "--keep-going", "--quiet", "docs", str(tmp_path))
    done = run_module("sphinx", *words, MPLCONFIGDIR=str(tmp_path / "matplotlib"))
    assert done.returncode == 0, done.stderr
    commands, tables, train = (
        (tmp_path / page).read_text()
        for page in ("reference/command-line.html", "reference/files-and-tables.html", "guides/train.html")
    )
    assert "--min-images-per-class" in commands
    assert "floor(utm_east / M)" in tables
    assert "EfficientNet_B7" in train
    assert "generated:" not in commands + tables + train
