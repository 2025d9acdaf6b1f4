import math
import re

import pytest

from evaluation.report.charts.mini_map import HEIGHT, WIDTH, MiniMap


@pytest.mark.parametrize(
    ("match", "direction"),
    [
        ((0.0, 82.0), "82 m north"),
        ((30.0, 40.0), "50 m north-east"),
        ((-3.0, -3.0), "4.2 m south-west"),
        ((-1.0, 0.0), "1.0 m west"),
    ],
)
def test_direction_of_the_match(match: tuple[float, float], direction: str) -> None:
    assert MiniMap(match, None, 25.0).direction == direction


@pytest.mark.parametrize("match", [(0.0, 82.0), (300.0, 40.0), (-3.0, -3.0), (26.0, 0.0)])
def test_line_points_to_the_match_at_the_scale_of_the_radius(match: tuple[float, float]) -> None:
    svg = MiniMap(match, None, 25.0).svg("a map")
    start_x, start_y, end_x, end_y = map(float, re.findall(r'd="M([^ ]+) ([^L]+)L([^ ]+) ([^"]+)"', svg)[0])
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in ((start_x, start_y), (end_x, end_y)))
    drawn, metres = math.hypot(end_x - start_x, end_y - start_y), math.hypot(*match)
    assert math.atan2(end_x - start_x, start_y - end_y) == pytest.approx(math.atan2(*match), abs=0.01)
    radius = float(re.findall(r'class="radius"[^>]* r="([^"]+)"', svg)[0])
    assert radius / drawn == pytest.approx(25 / metres, rel=0.02)


@pytest.mark.parametrize(("truth", "is_shown"), [(None, False), ((10.0, 5.0), True), ((0.0, -500.0), False)])
def test_truth_is_shown_unless_it_is_far_outside(truth: tuple[float, float] | None, is_shown: bool) -> None:
    assert ('class="truth"' in MiniMap((82.0, 0.0), truth, 25.0).svg("a map")) == is_shown
