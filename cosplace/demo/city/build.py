"""Build the scene of one year: houses, streets and ground."""

import numpy as np

from cosplace.demo.city.facades import facade_height, paint_facade, paint_side
from cosplace.demo.city.ground import light_ground, paint_ground
from cosplace.demo.city.houses import House, house_of_year
from cosplace.demo.city.layout import EAST, NORTH, SOUTH, WEST, Lot, Plan, Rectangle
from cosplace.demo.city.light import Light
from cosplace.demo.city.props import CAR_PAINTS, car_textures
from cosplace.demo.city.scene import Board, Box, Scene, jutting, side_width
from cosplace.demo.city.shadows import cast_shadows
from cosplace.demo.city.sky import Sky
from cosplace.demo.city.street import car_boxes, parked_cars, passers_by, street_boards
from cosplace.demo.city.textures import Atlas, Canvas
from cosplace.demo.city.windows import Hand, window

BAY_DEPTH_M, AWNING_DEPTH_M = 0.8, 1.1


def build_scene(plan: Plan, seed: int, year: int, light: Light, scale: float) -> Scene:
    """Return the scene of one year; `scale` is in texels per metre of the facades."""
    atlas, solids, props = Atlas(), [], []
    for number, lot in enumerate(plan.lots):
        solid, extras = build_house(atlas, lot, seed, number, year, light, scale)
        solids.append(solid)
        props += extras
    cars = parked_cars(plan, np.random.default_rng([seed, 9, year]))
    looks = [car_textures(atlas, paint, scale) for paint in CAR_PAINTS]
    for index, (ground, turned) in enumerate(cars):
        props += car_boxes(ground, turned, looks[(index * 5 + year) % len(looks)])
    trees, lamps = street_boards(atlas, plan, seed, light, scale)
    people = passers_by(atlas, plan, np.random.default_rng([seed, 10, year]), scale)
    blockers = [(solid.ground, max(solid.tops)) for solid in solids] + [(around(tree, 1.3), 5.6) for tree in trees]
    shadows = cast_shadows(blockers, plan.bounds, light.sun_vector)
    shining = [around(lamp, 2.0) for lamp in lamps] if light.lit > 0 else []
    bare = paint_ground(plan, min(10.0, scale / 2))
    lit = light_ground(bare, plan.bounds, light, shadows, shining, [car for car, _ in cars])
    boards = trees + lamps + people
    return Scene(atlas, solids, props, boards, lit, plan.bounds, shadows, Sky(seed, year, light), light)


def around(board: Board, half_m: float) -> Rectangle:
    """Return the square of ground around a tree or a lamp."""
    return board.x - half_m, board.y - half_m, board.x + half_m, board.y + half_m


def build_house(
    atlas: Atlas, lot: Lot, seed: int, number: int, year: int, light: Light, scale: float
) -> tuple[Box, list[Box]]:
    """Return the box of a house, and the boxes of its bay windows and awnings."""
    house = house_of_year(seed, number, year)
    hand = Hand(np.random.default_rng([seed, 11, number, year]), light.lit)
    grain = np.random.default_rng([seed, 12, number])
    textures, tops, extras = [0] * 4, [house.wall_m] * 4, list[Box]()
    bare = atlas.add(paint_side(house, side_width(lot.ground, NORTH), house.wall_m, scale / 2, grain))
    for side in (EAST, NORTH, WEST, SOUTH):
        textures[side] = bare
        if side in lot.sides:
            width = side_width(lot.ground, side)
            textures[side] = atlas.add(paint_facade(house, width, side == lot.sides[0], scale, hand), grain)
            tops[side] = facade_height(house)
            extras += jutting_parts(atlas, house, lot.ground, side, side == lot.sides[0], scale, hand)
    east, north, west, south = tops
    return Box(lot.ground, 0.0, (east, north, west, south), as_four(textures), bare), extras


def as_four(values: list[int]) -> tuple[int, int, int, int]:
    """Return the values of the sides in the order east, north, west, south."""
    east, north, west, south = values
    return east, north, west, south


def jutting_parts(
    atlas: Atlas, house: House, ground: Rectangle, side: int, has_door: bool, scale: float, hand: Hand
) -> list[Box]:
    """Return the bay windows of the upper storeys and the awning of the shop."""
    parts, width = [], side_width(ground, side)
    if house.bays and width > 5:
        for centre in (width * 0.27, width * 0.73) if width > 8 else (width / 2,):
            parts.append(
                bay(atlas, house, jutting(ground, side, centre - 1.2, centre + 1.2, BAY_DEPTH_M), side, scale, hand)
            )
    if house.shop is not None and house.shop.awning is not None:
        room = 1.9 if has_door else 0.4
        left, right = (room, width - 0.4) if house.door_first else (0.4, width - room)
        stripes = atlas.add(awning(right - left, house.shop.awning, scale))
        cap = atlas.flat(house.shop.awning[0])
        place = jutting(ground, side, left, right, AWNING_DEPTH_M)
        parts.append(Box(place, 2.55, (3.0,) * 4, (stripes,) * 4, cap))
    return parts


def bay(atlas: Atlas, house: House, ground: Rectangle, side: int, scale: float, hand: Hand) -> Box:
    """Return a bay window through all upper storeys."""
    bottom, top = house.ground_m + 0.15, house.wall_m - 0.15
    front, cheek = (bay_face(house, width, top - bottom, scale, hand) for width in (2.4, BAY_DEPTH_M))
    numbers = [atlas.add(cheek)] * 4
    numbers[side] = atlas.add(front)
    return Box(ground, bottom, (top,) * 4, as_four(numbers), atlas.flat(house.trim))


def bay_face(house: House, width: float, height: float, scale: float, hand: Hand) -> Canvas:
    """Paint one side of a bay: per storey a panel and one or two windows."""
    canvas = Canvas(width, height, scale)
    canvas.rect(0, 0, width, height, house.wall)
    for storey in range(house.storeys):
        low = storey * house.storey_m
        canvas.rect(0, low, width, low + 0.4, house.trim)
        canvas.rect(0.12, low + 0.08, width - 0.12, low + 0.32, house.wall)
        for left in np.linspace(0.2, width, 3)[:-1] if width > 1 else (0.22,):
            window(canvas, left, low + 0.85, 0.86 if width > 1 else 0.4, house.storey_m - 1.5, house, hand)
    canvas.rect(0, height - 0.3, width, height, house.trim)
    return canvas


def awning(width: float, colours: tuple[tuple[int, int, int], tuple[int, int, int]], scale: float) -> Canvas:
    """Paint stripes in two colours with a scalloped edge."""
    canvas = Canvas(width, 0.45, scale)
    count = max(4, round(width / 0.4))
    for stripe in range(count):
        left, right = width * stripe / count, width * (stripe + 1) / count
        canvas.rect(left, 0.12, right, 0.45, colours[stripe % 2])
        canvas.ellipse(left, 0, right, 0.26, colours[stripe % 2])
    return canvas
