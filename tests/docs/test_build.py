"""The site builds without a warning, and shows what is generated from the code."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

MISSING = [name for name in ("furo", "myst_parser", "sphinx") if importlib.util.find_spec(name) is None]


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}; see the extra docs")
def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "docs", str(tmp_path)]
    environment = {**os.environ, "MPLCONFIGDIR": str(tmp_path / "matplotlib")}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    commands, tables, train = (
        (tmp_path / page).read_text()
        for page in ("reference/command-line.html", "reference/files-and-tables.html", "guides/train.html")
    )
    assert "--min-images-per-class" in commands
    assert "floor(utm_east / M)" in tables
    assert "EfficientNet_B7" in train
    assert "generated:" not in commands + tables + train
