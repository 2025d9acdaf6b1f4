"""Views of the ray caster, compared with the pinhole model."""

from collections.abc import Callable

import numpy as np
import pytest
from cosplace.demo.city.light import OVERCAST
from cosplace.demo.city.raycast import Camera
from cosplace.demo.city.scene import Board, Box, Scene
from cosplace.demo.city.shading import render
from cosplace.demo.city.shadows import Shadows, cast_shadows
from cosplace.demo.city.sky import Sky
from cosplace.demo.city.textures import Atlas, Canvas

SIZE = 200
FOCAL = SIZE / 2 / np.tan(np.radians(75 / 2))
PLAIN = (-100.0, -100.0, 100.0, 100.0)
Red = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def facade(distance: float, height: float, south: float = -3.0, north: float = 3.0, paint: int = 0) -> Box:
    """Return a facade facing west, this many metres east of the origin."""
    return Box((distance, south, distance + 5, north), 0.0, (height,) * 4, (paint,) * 4, paint)


def world(solids: list[Box], boards: list[Board] | None = None, props: list[Box] | None = None) -> Scene:
    """Return a scene on a grey plain under a grey sky; texture 0 is red and 1 blue."""
    atlas, ground = Atlas(), Atlas()
    atlas.flat((220, 20, 20))
    atlas.flat((20, 20, 220))
    ground.add_light(np.full((8, 8, 5), 0.2, np.float32))
    shadows = Shadows(np.zeros((400, 400), np.float32), PLAIN)
    return Scene(atlas, solids, props or [], boards or [], ground, PLAIN, shadows, Sky(0, 2009, OVERCAST), OVERCAST)


def view(scene: Scene, *headings: float, x: float = 0.0) -> np.ndarray:
    return render(scene, Camera(x, 0.0, headings, SIZE, SIZE), supersample=1)


def test_facade_in_the_east_is_centred_at_90_and_left_at_120_degrees(red: Red) -> None:
    ahead, turned, back, away = view(world([facade(30, 8)]), 90, 120, 60, 270)
    assert red(ahead)[1].mean() == pytest.approx(SIZE / 2 - 0.5, abs=0.6)
    columns = red(turned)[1]
    left = SIZE / 2 - FOCAL * np.tan(np.radians(30) + np.arctan(3 / 30))
    right = SIZE / 2 - FOCAL * np.tan(np.radians(30) - np.arctan(3 / 30))
    assert (columns.min(), columns.max()) == (pytest.approx(left, abs=1.5), pytest.approx(right, abs=1.5))
    assert sorted(SIZE - 1 - red(back)[1]) == pytest.approx(sorted(columns), abs=1)
    assert not len(red(away)[1])


@pytest.mark.parametrize("distance", [12.0, 24.0])
def test_facade_has_the_size_of_the_pinhole_model(red: Red, distance: float) -> None:
    rows, columns = red(view(world([facade(distance, 8)]), 90)[0])
    assert np.ptp(rows) + 1 == pytest.approx(FOCAL * 8 / distance, abs=1.5)
    assert np.ptp(columns) + 1 == pytest.approx(FOCAL * 6 / distance, abs=1.5)
    assert rows.max() == pytest.approx(0.66 * SIZE + FOCAL * 2.4 / distance, abs=1.5)


def test_nearer_facade_is_larger(red: Red) -> None:
    far, near = (len(red(view(world([facade(30, 6)]), 90, x=x)[0])[0]) for x in (0.0, 15.0))
    assert near == pytest.approx(4 * far, rel=0.1)


def test_nearer_house_hides_only_the_lower_part_of_a_taller_one(red: Red) -> None:
    scene = world([facade(40, 16), facade(20, 4, paint=1)])
    rows, _ = red(view(scene, 90)[0])
    roof_line = 0.66 * SIZE - FOCAL * (4 - 2.4) / 20
    assert len(rows)
    assert rows.max() < roof_line + 1


def test_street_objects_hide_houses(red: Red) -> None:
    car = Box((10, -1, 12, 1), 0.0, (1.5,) * 4, (0,) * 4, 0)
    before, behind = world([facade(20, 8, paint=1)], props=[car]), world([facade(5, 8, paint=1)], props=[car])
    assert len(red(view(before, 90)[0])[0])
    assert not len(red(view(behind, 90)[0])[0])


def test_board_faces_the_camera(red: Red) -> None:
    rows, columns = red(view(world([], boards=[Board(0, 16, 2.0, 6.0, 0)]), 0)[0])
    assert columns.mean() == pytest.approx(SIZE / 2 - 0.5, abs=0.6)
    assert np.ptp(columns) + 1 == pytest.approx(FOCAL * 2 / 16, abs=1.5)
    assert np.ptp(rows) + 1 == pytest.approx(FOCAL * 6 / 16, abs=1.5)


@pytest.mark.parametrize(("heading", "place"), [(0, (0, 20)), (90, (20, 0)), (180, (0, -20)), (270, (-20, 0))])
def test_signs_read_from_left_to_right_on_every_side(red: Red, heading: int, place: tuple[float, float]) -> None:
    scene = world([])
    half_red = Canvas(2, 1, 8)
    half_red.rect(0, 0, 1, 1, (220, 20, 20))
    half_red.rect(1, 0, 2, 1, (20, 20, 220))
    paint = scene.atlas.add(half_red)
    x, y = place
    house = Box((x - 3, y - 3, x + 3, y + 3), 0.0, (5.0,) * 4, (paint,) * 4, paint)
    painted = Scene(scene.atlas, [house], [], [], scene.ground, PLAIN, scene.shadows, scene.sky, scene.light)
    columns = red(view(painted, heading)[0])[1]
    assert columns.max() < SIZE / 2
    assert columns.min() == pytest.approx(SIZE / 2 - FOCAL * 3 / 17, abs=1.5)


def test_shadows_point_away_from_the_sun() -> None:
    sun_in_the_south = np.array([0.0, -np.cos(np.radians(45)), np.sin(np.radians(45))])
    shadows = cast_shadows([((-2, -2, 2, 2), 10.0)], PLAIN, sun_in_the_south)
    at = [float(shadows.height_at(np.array([0.0]), np.array([y]))[0]) for y in (-4, 7, 11.0, 14)]
    assert at[0] == 0
    assert at[1:] == [pytest.approx(5, abs=0.6), pytest.approx(1, abs=0.6), 0]
