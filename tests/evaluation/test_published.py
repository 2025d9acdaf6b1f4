import re
from pathlib import Path

import pytest

from evaluation.published import AUTHORS, EIGENPLACES, PUBLISHED, published_recalls

FIGURES = Path(__file__).parents[3] / "shared" / "figures.md"
NAMES = {
    **{"SF-XL v1": "sf-xl-v1", "SF-XL v2": "sf-xl-v2", "Pitts30k": "pitts30k", "Pitts250k": "pitts250k"},
    **{"Tokyo 24/7": "tokyo247", "MSLS val": "msls-val", "St Lucia": "st-lucia", "Nordland": "nordland"},
    **{"AmsterTime": "amstertime", "Eynsham": "eynsham"},
}


def rows_below(head: str) -> list[list[str]]:
    """Return the cells of the table whose first column has this head, the head itself first."""
    table = re.search(rf"^\| {re.escape(head)} \|.*?(?=^$)", FIGURES.read_text(), re.MULTILINE | re.DOTALL)
    assert table is not None
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()]
    return [rows[0], *rows[2:]]


@pytest.mark.skipif(not FIGURES.is_file(), reason="../shared with the published figures is not here")
@pytest.mark.parametrize(("head", "source"), [("model", AUTHORS), ("model, R@1", EIGENPLACES)])
def test_the_figures_are_those_of_their_sources(head: str, source: str) -> None:
    names, *models = rows_below(head)
    expected = {
        (*model[0].split("-"), NAMES[name], tuple(map(float, cell.split("/"))))
        for model in models
        for name, cell in zip(names[1:-1], model[1:-1], strict=True)
    }
    ours = {
        (each.backbone, str(each.fc_output_dim), each.test_set, tuple(each.recalls.values()))
        for each in PUBLISHED
        if each.source == source
    }
    assert ours == expected


def test_a_model_is_compared_with_its_like_on_the_same_test_set() -> None:
    (found,) = published_recalls("sf-xl-v1", "ResNet50", 512)
    assert (found.recalls, found.source) == ({1: 76.7}, EIGENPLACES)
    assert len(published_recalls("pitts30k", "VGG16", 512)) == 2, "two sources, each named"
    assert published_recalls("sf-xl-v1", "ResNet50", 64) == []
    assert published_recalls("my-town", "ResNet50", 512) == []
