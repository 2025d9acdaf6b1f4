"""The street side of a building, painted as one upright picture: wall, storeys of windows, ground floor, roof line."""

import numpy as np

from cosplace.demo.city.houses import House
from cosplace.demo.city.textures import Canvas, shade
from cosplace.demo.city.windows import Hand, door, garage, glass, shop_front, window

ROOF_M = {"cornice": 0.7, "gable": 2.8, "stepped": 2.4, "mansard": 2.6, "mission": 1.9, "parapet": 0.9}
SLATE = (84, 88, 100)


def facade_height(house: House) -> float:
    """Return metres from the pavement to the top of the facade, roof line included."""
    return house.wall_m + ROOF_M[house.roof]


def paint_facade(house: House, width_m: float, has_door: bool, scale: float, hand: Hand) -> Canvas:
    """Paint the facade of a house; a side without a door has windows or shop panes on the ground floor."""
    canvas = Canvas(width_m, facade_height(house), scale)
    paint_wall(canvas, house, hand.rng)
    paint_roof(canvas, house, hand)
    for storey in range(house.storeys):
        paint_storey(canvas, house, house.ground_m + storey * house.storey_m, hand)
    paint_ground_floor(canvas, house, has_door, hand)
    return canvas


def paint_wall(canvas: Canvas, house: House, rng: np.random.Generator) -> None:
    """Paint bricks, boards, plaster bands or panels."""
    width, top = canvas.width_m, house.wall_m
    canvas.rect(0, 0, width, top, house.wall)
    step = {"brick": 0.3, "siding": 0.28, "stucco": 0.0, "panels": 1.5}[house.material]
    line = shade(house.wall, 1.1 if house.material == "brick" else 0.9)
    for z in np.arange(step, top, step) if step else ():
        canvas.rect(0, z, width, z + 0.05, line)
    if house.material == "brick":
        for _ in range(60):
            x, z, tone = rng.uniform(0, width), 0.3 * int(rng.integers(int(top / 0.3))), rng.uniform(0.8, 1.1)
            canvas.rect(x, z + 0.05, x + 0.5, z + 0.3, shade(house.wall, tone))
    if house.material == "panels":
        for x in np.arange(1.2, width, 1.2):
            canvas.rect(x, 0, x + 0.05, top, line)
    if house.material == "stucco":
        for storey in range(house.storeys + 1):
            z = house.ground_m + storey * house.storey_m
            canvas.rect(0, z - 0.2, width, z, shade(house.trim, 0.93))
    for x in (0.0, width - 0.35):
        if house.material in ("stucco", "siding"):
            canvas.rect(x, 0, x + 0.35, top, house.trim)


def columns(house: House, width_m: float) -> tuple[int, float]:
    """Return the number of windows per storey and the distance of their centres in metres."""
    count = max(2, int((width_m - 0.6) / (house.window_width_m + house.pier_m + 0.4)))
    return count, width_m / count


def paint_storey(canvas: Canvas, house: House, floor: float, hand: Hand) -> None:
    """Paint a row of windows; `floor` is in metres above the pavement."""
    count, pitch = columns(house, canvas.width_m)
    wide = house.window_width_m if house.window != "wide" else min(pitch - 0.6, 2.6)
    wide, height = min(wide, pitch - 0.5), house.storey_m - 1.45
    for number in range(count):
        window(canvas, pitch * (number + 0.5) - wide / 2, floor + 0.75, wide, height, house, hand)


def paint_ground_floor(canvas: Canvas, house: House, has_door: bool, hand: Hand) -> None:
    """Paint a shop, a garage or windows, and the door."""
    width, shop = canvas.width_m, house.shop
    canvas.rect(0, 0, width, 0.45, shade(house.wall, 0.72))
    at_left = house.door_first
    if shop is not None:
        room = 1.9 if has_door else 0.4
        low, high = (room, width - 0.4) if at_left else (0.4, width - room)
        shop_front(canvas, low, high, house.ground_m, shop, hand)
    elif width > 7 and has_door:
        garage(canvas, width - 3.6 if at_left else 0.9, 2.7, house)
        window(canvas, width / 2 - 0.5 + 0.4 * (1 - 2 * at_left), 1.1, 1.0, house.ground_m - 1.9, house, hand)
    else:
        for x in np.arange(1.2 + at_left, width - 1.6, 2.4):
            window(canvas, x, 1.1, 1.1, house.ground_m - 1.9, house, hand)
    if has_door:
        door(canvas, 0.55 if at_left else width - 1.65, house, hand)


def paint_roof(canvas: Canvas, house: House, hand: Hand) -> None:
    """Paint the roof line; the rest stays transparent and shows the sky."""
    width, wall, top = canvas.width_m, house.wall_m, canvas.height_m
    if house.roof == "gable":
        canvas.polygon([(0, wall), (width, wall), (width / 2, top)], house.trim)
        canvas.polygon([(0.5, wall), (width - 0.5, wall), (width / 2, top - 0.35)], house.wall)
        canvas.ellipse(width / 2 - 0.55, wall + 0.5, width / 2 + 0.55, wall + 1.6, house.trim)
        canvas.ellipse(width / 2 - 0.4, wall + 0.65, width / 2 + 0.4, wall + 1.45, (70, 88, 106))
    elif house.roof == "stepped":
        for inset, low in zip(width * np.array([0.0, 0.14, 0.28]), wall + 0.8 * np.arange(3), strict=True):
            canvas.rect(inset, low, width - inset, low + 0.8, house.wall)
            canvas.rect(inset - 0.1, low + 0.62, width - inset + 0.1, low + 0.8, house.trim)
    elif house.roof == "mansard":
        paint_mansard(canvas, house, hand)
    elif house.roof == "mission":
        canvas.ellipse(width * 0.2, wall - 1.8, width * 0.8, top, house.trim)
        canvas.ellipse(width * 0.2 + 0.2, wall - 1.8, width * 0.8 - 0.2, top - 0.2, house.wall)
        canvas.rect(0, wall - 1.8, width, wall, house.wall)
        canvas.rect(0, wall - 0.1, width, wall + 0.35, (172, 84, 56))
    else:
        paint_cornice(canvas, house)


def paint_mansard(canvas: Canvas, house: House, hand: Hand) -> None:
    """Paint a steep slate roof with a dormer above each window."""
    width, wall, top = canvas.width_m, house.wall_m, canvas.height_m
    canvas.polygon([(0, wall), (width, wall), (width - 0.7, top), (0.7, top)], SLATE)
    for z in np.arange(wall + 0.3, top, 0.35):
        canvas.rect(0.7, z, width - 0.7, z + 0.05, shade(SLATE, 0.82))
    count, pitch = columns(house, width)
    for x in pitch * (np.arange(count) + 0.5):
        if 1.2 < x < width - 1.2:
            canvas.rect(x - 0.6, wall + 0.2, x + 0.6, top - 0.45, house.trim)
            glass(canvas, x - 0.42, wall + 0.35, x + 0.42, top - 0.65, hand)
    canvas.rect(0, wall - 0.15, width, wall + 0.15, house.trim)


def paint_cornice(canvas: Canvas, house: House) -> None:
    """Paint a cornice on brackets, or a plain parapet."""
    width, wall, top = canvas.width_m, house.wall_m, canvas.height_m
    canvas.rect(0, wall, width, top, house.trim if house.roof == "cornice" else house.wall)
    canvas.rect(0, wall - 0.12, width, wall, shade(house.trim, 0.7))
    canvas.rect(0, top - 0.2, width, top, shade(house.trim, 0.9))
    if house.roof == "cornice":
        for x in np.arange(0.15, width, 0.5):
            canvas.rect(x, wall, x + 0.22, wall + 0.35, shade(house.trim, 0.72))


def paint_side(house: House, width_m: float, height_m: float, scale: float, rng: np.random.Generator) -> Canvas:
    """Paint a wall without a street: bare, or with small windows."""
    canvas = Canvas(width_m, height_m, scale)
    canvas.rect(0, 0, width_m, height_m, shade(house.wall, 0.85))
    for z in np.arange(house.ground_m + 1, height_m - 1.5, house.storey_m):
        x = rng.uniform(1, max(1.1, width_m - 2))
        canvas.rect(x, z, x + 0.7, z + 1.0, (60, 72, 84))
    return canvas
