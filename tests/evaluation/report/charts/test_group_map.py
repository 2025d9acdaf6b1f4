import itertools

import numpy as np
import polars as pl
import pytest

from evaluation.report.charts.group_map import Window, _arrows, classes_in, densest_window, plot_group_map
from evaluation.report.charts.grouping import Grouping, plot_heading_bins
from evaluation.report.charts.style import GROUP_COLOURS

PAPER = {"M": 10.0, "alpha": 30.0, "N": 5, "L": 2}


def classes(cells: list[tuple[int, int]], bins: range = range(12), N: int = 5, L: int = 2) -> pl.DataFrame:
    rows = [
        (((east % N) * N + north % N) * L + heading_bin % L, number, 10, "N", east, north, heading_bin)
        for number, ((east, north), heading_bin) in enumerate(itertools.product(cells, bins))
    ]
    names = ["group_index", "class_index", "utm_zone", "hemisphere", "cell_east", "cell_north", "heading_bin"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_densest_window_matches_a_search_of_all_windows() -> None:
    rng = np.random.default_rng(0)
    cells = sorted({(int(x), int(y)) for x, y in rng.normal((40, -7), 12, (400, 2))})
    table = classes(cells, range(1))
    found = densest_window(table.lazy(), 8, [])
    held = len(classes_in(table.lazy(), found))

    def holds(west: int, south: int) -> int:
        return sum(west <= x < west + 8 and south <= y < south + 8 for x, y in cells)

    assert held == holds(found.west, found.south)
    assert held == max(holds(west, south) for west in range(-20, 100, 2) for south in range(-80, 60, 2))


def test_single_cell_is_in_the_middle_of_the_window() -> None:
    window = densest_window(classes([(41, -7)]).lazy(), 8, [])
    assert 2 <= 41 - window.west <= 5
    assert 2 <= -7 - window.south <= 5


def test_densest_window_prefers_classes_of_coloured_groups() -> None:
    table = pl.concat([classes([(0, 1), (1, 1)], range(2)), classes([(100, 100)], range(2))])
    window = densest_window(table.lazy(), 8, [0, 1])
    assert window.west <= 100 < window.west + 8


@pytest.mark.parametrize(("heading_bin", "east", "north"), [(0, 0.5, 1), (3, 1, -0.5), (6, -0.5, -1), (11, -0.5, 1)])
def test_arrow_points_into_its_heading_bin(heading_bin: int, east: float, north: float) -> None:
    rows = classes([(7, 9)], range(heading_bin, heading_bin + 1))
    corners = np.asarray(_arrows(rows, Window(10, "N", 7, 9, 8), 30.0).vertices)
    tip = corners[np.hypot(*(corners - 0.5).T).argmax()] - 0.5
    angle = np.degrees(np.arctan2(tip[0], tip[1])) % 360
    assert heading_bin * 30 < angle < (heading_bin + 1) * 30
    assert np.sign(tip[0]) == np.sign(east)
    assert np.sign(tip[1]) == np.sign(north)


def test_groups_trained_on_are_coloured() -> None:
    grouping = Grouping.of(PAPER, list(range(50)), [3, 7])
    assert [grouping.colour(group) for group in (3, 7)] == GROUP_COLOURS[:2]
    assert grouping.colour(0) not in GROUP_COLOURS
    assert Grouping.of(PAPER, list(range(50)), []).coloured == list(range(8))
    assert grouping.parts(49) == (4, 4, 1)


def test_map_shows_its_measures_and_has_one_path_per_group() -> None:
    table = classes(list(itertools.product(range(12), range(12))))
    plot = plot_group_map(table.lazy(), Grouping.of(PAPER, list(range(50)), list(range(8))))
    svg = plot.svg()
    assert "M = 10 m" in svg
    assert "N · M = 50 m" in svg
    assert len(plot.data) == 12 * 12 * 12
    assert len(svg) < 400_000, "one path per group, not one per arrow"


def test_legend_names_only_groups_on_the_map() -> None:
    table = classes([(0, 0), (5, 0)])
    plot = plot_group_map(table.lazy(), Grouping.of(PAPER, list(range(50)), [0, 1, 7]))
    legend = plot.figure.axes[0].get_legend()
    assert legend is not None
    assert [label.get_text() for label in legend.get_texts()] == ["0", "1"]
    assert "in the colours of groups 0, 1, repeat" in plot.alt


def test_last_heading_bin_is_narrower_if_alpha_does_not_divide_360() -> None:
    bins = plot_heading_bins(Grouping.of({**PAPER, "alpha": 100.0}, [0, 1], [])).data
    assert bins["to_degrees"].to_list() == [100.0, 200.0, 300.0, 360.0]
    assert bins["group_index"].to_list() == [0, 1, 0, 1]


def test_classes_of_all_headings_are_discs() -> None:
    table = classes([(0, 0), (3, 3)], range(1), N=1, L=1)
    svg = plot_group_map(table.lazy(), Grouping.of({**PAPER, "alpha": 360.0, "N": 1, "L": 1}, [0], [0])).svg()
    corners = np.asarray(_arrows(table, Window(10, "N", 0, 0, 8), 360.0).vertices)
    assert sorted({(round(x), round(y)) for x, y in np.floor(corners)}) == [(0, 0), (3, 3)]
    assert "N · M" not in svg


@pytest.mark.parametrize(("N", "is_shown"), [(9, True), (12, True), (13, False)])
def test_spacing_wider_than_the_map_is_not_drawn(N: int, is_shown: bool) -> None:
    table = classes([(east, 0) for east in range(24)], N=N)
    svg = plot_group_map(table.lazy(), Grouping.of({**PAPER, "N": N}, [0, 1], [0, 1])).svg()
    assert (f"N · M = {N * 10} m" in svg) == is_shown
