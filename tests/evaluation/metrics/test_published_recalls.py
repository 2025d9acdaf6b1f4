from pathlib import Path

import pytest

from evaluation.metrics.published_recalls import PUBLISHED, published_recalls
from evaluation.test_sets.named_sets import NAMED_SETS


def test_published_recalls_are_of_named_sets_and_those_of_the_authors_come_first() -> None:
    assert {each.test_set for each in PUBLISHED} <= NAMED_SETS.keys()
    found = published_recalls("VGG16", 512, "pitts30k", 1)
    assert [(each.recall, each.source) for each in found] == [
        (88.5, "gmberton/CosPlace#13"),
        (88.4, "EigenPlaces paper"),
    ]
    assert published_recalls("VGG16", 512, "pitts30k", 20)[0].recall == 96.7
    assert published_recalls("ResNet50", 128, "eynsham", 1)[0].recall == 88.6
    assert published_recalls("ResNet50", 64, "eynsham", 1) == []


def test_the_table_agrees_with_the_collected_figures() -> None:
    figures = Path(__file__).parents[3].parent / "shared" / "figures.md"
    if not figures.is_file():
        pytest.skip("no list of published figures")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in figures.read_text().splitlines() if "|" in line
    ]
    names = {"Pitts250k": "pitts250k", "Pitts30k": "pitts30k", "Tokyo 24/7": "tokyo247", "MSLS val": "msls-val"}
    more = {"SF-XL v1": "sf-xl-v1", "SF-XL v2": "sf-xl-v2", "St Lucia": "st-lucia", "Nordland": "nordland"}
    names |= {**more, "AmsterTime": "amstertime", "Eynsham": "eynsham"}
    header: list[str] = []
    checked = 0
    for cells in rows:
        if cells[0].startswith("model"):
            header = cells
        elif header and "-" in cells[0] and cells[0].split("-")[-1].isdecimal():
            backbone, _, dim = cells[0].rpartition("-")
            for title, cell in zip(header[1:-1], cells[1:-1], strict=True):
                for k, value in zip((1, 5, 10, 20), cell.split("/"), strict=False):
                    found = [each.recall for each in published_recalls(backbone, int(dim), names[title], k)]
                    assert float(value) in found, (cells[0], title, k)
                    checked += 1
    assert checked == 2 * 4 * 4 + 4 * 10
