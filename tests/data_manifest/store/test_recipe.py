import json
from pathlib import Path
from typing import Any

import pytest

from data_manifest.store.recipe import RECIPE_FILE, read_recipe

NESTED = {"files": 9, "usable": 2, "rejects": {"not UTF-8": 7, "no position": 0}, "not cut": {"a: b": 1}}
FLAT = {"files": 9, "usable": 2, "rejects": 7, "rejects: not UTF-8": 7, "rejects: no position": 0, "not cut: a: b": 1}


@pytest.mark.parametrize(
    ("stored", "read"),
    [(NESTED, NESTED), (FLAT, NESTED), ({"files": 9, "rejects": 2, "made": "x: y"}, {"files": 9, "made": "x: y"})],
    ids=["nested", "as stored before", "only the total, as of parts before"],
)
def test_counts_are_nested(stored: dict[str, Any], read: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / RECIPE_FILE).write_text(json.dumps({"stage": "manifest", "summary": stored}))
    assert read_recipe(tmp_path) == {"stage": "manifest", "summary": read}
