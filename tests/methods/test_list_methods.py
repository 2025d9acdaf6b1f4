"""The table of named methods."""

import json
import re

import pytest

from data_manifest.command_line.closest import letters_of
from data_manifest.command_line.command_parser import CommandParser
from evaluation.descriptors.open_image import SizeRule
from methods.entry import GITHUB, entry_of
from methods.list_methods import add_methods
from methods.named_methods import NAMED_METHODS


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    parser = CommandParser()
    add_methods(parser)
    options = parser.parse_args(words)
    options.run(options)
    return capsys.readouterr().out


def test_the_table_has_a_row_per_method(capsys: pytest.CaptureFixture[str]) -> None:
    titles, *lines = run(capsys).splitlines()
    assert [line.split()[0] for line in lines] == list(NAMED_METHODS)
    assert re.split(r" {2,}", titles.strip())[:2] == ["method", "dimensions"]
    rows = json.loads(run(capsys, "--format", "json"))
    by_name = {row["method"]: row for row in rows}
    assert by_name["SALAD"]["entry"] == "dinov2_salad"
    assert by_name["BoQ-ResNet50"]["arguments"] == {"backbone_name": "resnet50", "output_dim": 16384}
    assert (by_name["MegaLoc"]["image_size"], by_name["CosPlace"]["image_size"]) == (322, None)


@pytest.mark.parametrize("name", NAMED_METHODS)
def test_rows_are_consistent(name: str) -> None:
    row, entry = NAMED_METHODS[name], entry_of(name)
    assert entry is not None
    assert (entry.name, entry.shown, entry.arguments) == (name, name, row.arguments)
    assert GITHUB.fullmatch(row.repository)
    assert row.paper.startswith("https://arxiv.org/abs/")
    if row.image_size is not None:
        exact = row.image_size.width, row.image_size.height
        assert SizeRule(row.image_size, row.multiple_of).size_of(640, 480) == exact, "a multiple already"
    stated = {value for key, value in row.arguments.items() if key in ("fc_output_dim", "output_dim")}
    assert stated <= {row.dimensions}


def test_names_differ_in_their_letters() -> None:
    assert len({letters_of(name) for name in NAMED_METHODS}) == len(NAMED_METHODS)
