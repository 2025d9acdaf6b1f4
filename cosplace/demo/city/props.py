"""Pictures of trees, lamps, pedestrians and cars."""

import numpy as np

from cosplace.demo.city.textures import Atlas, Canvas, Colour, mix, shade

CAR_PAINTS: tuple[Colour, ...] = (
    (196, 44, 40),
    (40, 78, 150),
    (232, 230, 224),
    (52, 54, 60),
    (160, 164, 168),
    (222, 168, 40),
    (64, 110, 86),
    (120, 60, 90),
)
CLOTHES: tuple[Colour, ...] = (
    (180, 50, 50),
    (46, 70, 120),
    (220, 190, 90),
    (60, 110, 90),
    (90, 60, 110),
    (50, 50, 56),
    (220, 220, 214),
)
SKINS: tuple[Colour, ...] = ((236, 196, 164), (198, 144, 108), (140, 92, 66), (98, 66, 50))
TYRE: Colour = (34, 34, 36)
PANE: Colour = (54, 68, 82)
CAR_M, CAR_WIDE_M, CAR_WAIST_M, CAR_ROOF_M = 4.3, 1.8, 0.9, 1.5


def leaf_colours(month: int) -> tuple[Colour, ...]:
    """Return the colours of leaves in the season; empty in winter."""
    if month in (12, 1, 2):
        return ()
    if month in (9, 10, 11):
        return ((206, 128, 44), (188, 96, 40), (214, 166, 64))
    return (
        ((122, 160, 70), (140, 178, 84), (104, 146, 66)) if month < 6 else ((70, 116, 58), (84, 132, 64), (58, 100, 52))
    )


def paint_tree(kind: int, month: int, scale: float) -> Canvas:
    """Paint a street tree, 4.2 m wide and 6.8 m tall; `kind` fixes its shape in all seasons."""
    canvas = Canvas(4.2, 6.8, scale)
    rng = np.random.default_rng([7, kind])
    canvas.rect(1.98, 0, 2.22, 3.6, (92, 72, 58))
    turns, reach, sizes = rng.uniform(0, 6.28, 60), np.sqrt(rng.random(60)), rng.uniform(0.35, 0.75, 60)
    leaves = leaf_colours(month)
    for number, (turn, far, size) in enumerate(zip(turns, reach, sizes, strict=True)):
        x, z = 2.1 + 1.4 * far * np.cos(turn), 4.7 + 1.4 * far * np.sin(turn)
        if leaves:
            tone = shade(leaves[number % len(leaves)], 0.75 + 0.12 * (z - 3.2))
            canvas.ellipse(x - size, z - size * 0.8, x + size, z + size * 0.8, tone)
        elif number < 26:
            canvas.polygon([(2.02, 2.4 + number * 0.05), (2.18, 2.4 + number * 0.05), (x, z)], (104, 86, 74))
    return canvas


def paint_lamp(lit: bool, scale: float) -> Canvas:
    """Paint a street lamp, 0.7 m wide and 5 m tall."""
    canvas = Canvas(0.7, 5.0, scale)
    canvas.rect(0.28, 0, 0.42, 4.3, (48, 54, 56))
    canvas.rect(0.2, 0, 0.5, 0.5, (48, 54, 56))
    canvas.ellipse(0.06, 4.2, 0.64, 4.95, (255, 230, 170) if lit else (226, 226, 218), 255 if lit else 0)
    return canvas


def paint_person(rng: np.random.Generator, scale: float) -> Canvas:
    """Paint a pedestrian, 0.7 m wide and 1.8 m tall."""
    canvas = Canvas(0.7, 1.8, scale)
    coat, legs = CLOTHES[rng.integers(len(CLOTHES))], CLOTHES[rng.integers(len(CLOTHES))]
    stride = rng.uniform(0.04, 0.16)
    for side in (-1, 1):
        foot = 0.35 + side * stride
        canvas.polygon([(0.27, 0.9), (0.43, 0.9), (foot + 0.07, 0), (foot - 0.07, 0)], shade(legs, 0.8 + 0.1 * side))
    canvas.polygon([(0.2, 1.45), (0.5, 1.45), (0.53, 0.78), (0.17, 0.78)], coat)
    canvas.rect(0.12, 0.85, 0.2, 1.42, shade(coat, 0.85))
    canvas.rect(0.5, 0.85, 0.58, 1.42, shade(coat, 0.85))
    canvas.ellipse(0.25, 1.47, 0.46, 1.78, SKINS[rng.integers(len(SKINS))])
    if rng.random() < 0.6:
        canvas.ellipse(0.23, 1.62, 0.48, 1.8, (60, 44, 36))
    return canvas


def paint_car_side(paint: Colour, scale: float) -> Canvas:
    """Paint the body of a car from the side, up to the waist."""
    canvas = Canvas(CAR_M, CAR_WAIST_M, scale)
    canvas.rect(0, 0.26, CAR_M, CAR_WAIST_M, paint)
    canvas.rect(0.3, 0.1, CAR_M - 0.3, 0.3, (24, 24, 26))
    canvas.rect(0, 0.5, CAR_M, 0.55, shade(paint, 0.7))
    canvas.rect(CAR_M / 2, 0.3, CAR_M / 2 + 0.03, CAR_WAIST_M, shade(paint, 0.6))
    for hub in (0.8, CAR_M - 0.8):
        canvas.ellipse(hub - 0.36, 0.0, hub + 0.36, 0.7, TYRE)
        canvas.ellipse(hub - 0.18, 0.17, hub + 0.18, 0.53, (150, 152, 156))
    return canvas


def paint_car_end(paint: Colour, lamps: Colour, scale: float) -> Canvas:
    """Paint the front or the rear of a car, up to the waist."""
    canvas = Canvas(CAR_WIDE_M, CAR_WAIST_M, scale)
    canvas.rect(0, 0.22, CAR_WIDE_M, CAR_WAIST_M, paint)
    canvas.rect(0.1, 0.22, CAR_WIDE_M - 0.1, 0.42, shade(paint, 0.6))
    canvas.rect(0.6, 0.28, 1.2, 0.42, (226, 222, 210))
    for left in (0.05, CAR_WIDE_M - 0.35):
        canvas.rect(left, 0.0, left + 0.3, 0.22, TYRE)
        canvas.rect(left, 0.52, left + 0.3, 0.72, lamps)
    return canvas


def paint_cabin(width_m: float, paint: Colour, panes: int, scale: float) -> Canvas:
    """Paint the windows of a car between waist and roof."""
    canvas = Canvas(width_m, CAR_ROOF_M - CAR_WAIST_M, scale)
    canvas.rect(0, 0, width_m, 1, paint)
    pitch = (width_m - 0.12) / panes
    for number in range(panes):
        left = 0.12 + pitch * number
        canvas.rect(left, 0.03, left + pitch - 0.12, 0.5, PANE)
        canvas.polygon([(left, 0.5), (left + 0.4, 0.5), (left, 0.2)], mix(PANE, (160, 190, 210), 0.5))
    return canvas


def car_textures(atlas: Atlas, paint: Colour, scale: float) -> tuple[int, int, int, int, int, int]:
    """Return the textures of body side, front, rear, cabin side, cabin end and roof."""
    canvases = (
        paint_car_side(paint, scale),
        paint_car_end(paint, (250, 244, 214), scale),
        paint_car_end(paint, (170, 30, 30), scale),
        paint_cabin(2.3, paint, 2, scale),
        paint_cabin(1.56, paint, 1, scale),
    )
    side, front, rear, cabin_side, cabin_end = (atlas.add(canvas) for canvas in canvases)
    return side, front, rear, cabin_side, cabin_end, atlas.flat(shade(paint, 1.1))
