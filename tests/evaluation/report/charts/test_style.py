"""Colours for colour-blind readers, simulated with the matrices of Machado, Oliveira and Fernandes (2009)."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from evaluation.report.charts.style import LIGHT_AND_DARK, new_chart, number_slots
from evaluation.report.sections.training_section import RECALLS

Vector = npt.NDArray[np.float64]
READERS = {
    "all cones": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])
TOGETHER = {
    "queries": ["correct", "incorrect", "unknown"],
    "groups": [f"group{number}" for number in range(8)],
    "recalls": [role for role, _ in RECALLS.values()],
}


def seen(colour: str, reader: str) -> Vector:
    """Return a colour as a reader sees it, in CIELAB, where equal distances look equally different."""
    parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    relative = TO_XYZ @ np.clip(np.array(READERS[reader]) @ linear, 0, 1) / WHITE
    x, y, z = np.where(relative > 0.008856, np.cbrt(relative), 7.787 * relative + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("index", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("chart", TOGETHER)
def test_colours_of_a_chart_can_be_distinguished(chart: str, reader: str, index: int) -> None:
    for one, other in itertools.combinations(TOGETHER[chart], 2):
        colours = [LIGHT_AND_DARK[role][index] for role in (one, other)]
        apart = float(np.linalg.norm(seen(colours[0], reader) - seen(colours[1], reader)))
        assert apart > 12, f"{one} and {other}; a difference of 2 is just visible"


@pytest.mark.parametrize(
    ("first", "last", "numbers"),
    [(4, 4, [4]), (0, 7, list(range(8))), (4, 49, list(range(5, 50, 5))), (1, 1000, list(range(100, 1001, 100)))],
)
def test_tick_labels_are_round_and_few(first: int, last: int, numbers: list[int]) -> None:
    _, axes = new_chart()
    number_slots(axes, first, last)
    assert axes.get_xticks().tolist() == numbers
