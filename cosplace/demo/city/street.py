"""Trees and lamps along the streets, and the cars and pedestrians of one year."""

import numpy as np

from cosplace.demo.city.ground import KERB_M
from cosplace.demo.city.layout import OUTSKIRTS_M, STREET_M, Plan, Rectangle
from cosplace.demo.city.light import Light
from cosplace.demo.city.props import CAR_M, CAR_ROOF_M, CAR_WAIST_M, CAR_WIDE_M, paint_lamp, paint_person, paint_tree
from cosplace.demo.city.scene import Board, Box
from cosplace.demo.city.textures import Atlas


def kerb_points(plan: Plan, step: float, start: float, offset: float) -> list[tuple[float, float, bool]]:
    """Return points along both sides of all streets, `offset` metres from the centre line, without crossings.

    Each is x, y and whether its street runs north and south.
    """
    low, high = plan.streets[0] - OUTSKIRTS_M + start, plan.streets[-1] + OUTSKIRTS_M
    clear = STREET_M / 2 + 3
    alongs = [float(at) for at in np.arange(low, high, step) if all(abs(at - line) > clear for line in plan.streets)]
    points = []
    for line in plan.streets:
        for along in alongs:
            for side in (-offset, offset):
                points += [(along, line + side, False), (line + side, along, True)]
    return points


def parked_cars(plan: Plan, rng: np.random.Generator) -> list[tuple[Rectangle, bool]]:
    """Return the ground of each car and whether it points north or south."""
    cars = []
    for x, y, turned in kerb_points(plan, 6.0, 2.0, KERB_M - 1.15):
        present, slide = rng.random() < 0.38, rng.uniform(-0.7, 0.7)
        half_x, half_y = (CAR_WIDE_M / 2, CAR_M / 2) if turned else (CAR_M / 2, CAR_WIDE_M / 2)
        x, y = (x, y + slide) if turned else (x + slide, y)
        if present:
            cars.append(((x - half_x, y - half_y, x + half_x, y + half_y), turned))
    return cars


def car_boxes(ground: Rectangle, turned: bool, look: tuple[int, int, int, int, int, int]) -> list[Box]:
    """Return body and cabin of a car that points north or east."""
    west, south, east, north = ground
    side, front, rear, cabin_side, cabin_end, roof = look
    body = (side, front, side, rear) if turned else (front, side, rear, side)
    cabin = (cabin_side, cabin_end) * 2 if turned else (cabin_end, cabin_side) * 2
    inner = (
        (west + 0.12, south + 0.7, east - 0.12, north - 1.3)
        if turned
        else (west + 0.7, south + 0.12, east - 1.3, north - 0.12)
    )
    return [
        Box(ground, 0.0, (CAR_WAIST_M,) * 4, body, roof),
        Box(inner, CAR_WAIST_M, (CAR_ROOF_M,) * 4, cabin, roof),
    ]


def street_boards(atlas: Atlas, plan: Plan, seed: int, light: Light, scale: float) -> tuple[list[Board], list[Board]]:
    """Return trees and lamps, the same every year except for leaves and light."""
    rng = np.random.default_rng([seed, 13])
    kinds = [atlas.add(paint_tree(kind, light.month, scale)) for kind in range(6)]
    lamp = atlas.add(paint_lamp(light.lit > 0.3, scale))
    trees, lamps = [], []
    for x, y, _ in kerb_points(plan, 9.0, 4.0, KERB_M + 0.7):
        draw, kind, size = rng.random(), int(rng.integers(6)), float(rng.uniform(0.8, 1.1))
        if draw < 0.22:
            trees.append(Board(x, y, 4.2, 6.8 * size, kinds[kind]))
        elif draw < 0.36:
            lamps.append(Board(x, y, 0.7, 5.0, lamp))
    return trees, lamps


def passers_by(atlas: Atlas, plan: Plan, rng: np.random.Generator, scale: float) -> list[Board]:
    """Return the pedestrians of the year."""
    people = [atlas.add(paint_person(rng, scale)) for _ in range(16)]
    boards = []
    for x, y, turned in kerb_points(plan, 5.0, 1.0, KERB_M + 2.0):
        present, slide, across = rng.random() < 0.18, rng.uniform(-2, 2), rng.uniform(-0.9, 0.9)
        height, who = rng.uniform(1.62, 1.88), int(rng.integers(16))
        x, y = (x + across, y + slide) if turned else (x + slide, y + across)
        if present:
            boards.append(Board(x, y, 0.7, height, people[who]))
    return boards
