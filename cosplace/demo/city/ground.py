"""The ground seen from above: carriageways, kerbs, pavements, zebra crossings, and the light that falls on them."""

import numpy as np
from PIL import Image, ImageFilter

from cosplace.demo.city.layout import PAVEMENT_M, STREET_M, Plan, Rectangle
from cosplace.demo.city.light import Light, array3
from cosplace.demo.city.shadows import Shadows
from cosplace.demo.city.textures import Atlas, Canvas, Colour

ASPHALT: Colour = (92, 92, 97)
PAVEMENT: Colour = (176, 170, 160)
KERB: Colour = (206, 202, 194)
YARD: Colour = (126, 132, 104)
PAINT: Colour = (226, 224, 214)
KERB_M = STREET_M / 2 - PAVEMENT_M  # from the centre line


def paint_ground(plan: Plan, scale: float) -> Canvas:
    """Paint the bare ground, from the south-west corner of the plan; `scale` is in texels per metre."""
    west, south, east, north = plan.bounds
    canvas = Canvas(east - west, north - south, scale)
    canvas.rect(0, 0, canvas.width_m, canvas.height_m, YARD)
    lines = [line - west for line in plan.streets]
    for half, colour in ((STREET_M / 2, PAVEMENT), (0.0, PAVEMENT), (KERB_M + 0.2, KERB), (KERB_M, ASPHALT)):
        for line in lines if half else ():
            canvas.rect(0, line - half, canvas.width_m, line + half, colour)
            canvas.rect(line - half, 0, line + half, canvas.height_m, colour)
        if not half:
            paint_slabs(canvas, lines)
    for line in lines:
        paint_markings(canvas, line, lines)
    return canvas


def paint_slabs(canvas: Canvas, lines: list[float]) -> None:
    """Paint the joints of the pavement, 1.2 m apart."""
    joint = (158, 152, 143)
    for along in np.arange(0, canvas.width_m, 1.2):
        for line in lines:
            for side in (-1, 1):
                low, high = sorted((line + side * STREET_M / 2, line + side * KERB_M))
                canvas.rect(along, low, along + 0.13, high, joint)
                canvas.rect(low, along, high, along + 0.13, joint)


def paint_markings(canvas: Canvas, line: float, lines: list[float]) -> None:
    """Paint dashes along the centre line and stripes across each arm of a crossing."""
    clear = STREET_M / 2 + 4
    for along in np.arange(0, canvas.width_m, 4):
        if all(abs(along + 1 - other) > clear for other in lines):
            canvas.rect(along, line - 0.08, along + 2, line + 0.08, PAINT)
            canvas.rect(line - 0.08, along, line + 0.08, along + 2, PAINT)
    for other in lines:
        for stripe in np.arange(line - KERB_M + 0.4, line + KERB_M - 0.5, 1.0):
            for start in (other - KERB_M - 3.2, other + KERB_M + 0.6):
                canvas.rect(start, stripe, start + 2.6, stripe + 0.5, PAINT)
                canvas.rect(stripe, start, stripe + 0.5, start + 2.6, PAINT)


def light_ground(
    canvas: Canvas,
    bounds: Rectangle,
    light: Light,
    shadows: Shadows,
    lamps: list[Rectangle],
    cars: list[Rectangle],
) -> Atlas:
    """Return the ground in the light of a year; `lamps` and `cars` are their positions."""
    size = canvas.colour.size
    soft = Image.fromarray(np.clip(shadows.heights / 0.6, 0, 1)).resize(size, Image.Resampling.BILINEAR)
    sunny = 1 - np.asarray(soft, dtype=np.float32)
    paint = (np.asarray(canvas.colour, dtype=np.float32)[..., :3] / 255) ** 2
    grain = np.random.default_rng(8).normal(1, 0.06, paint.shape[:2]).astype(np.float32)
    dark = blurred_spots(canvas, bounds, cars, 0.25)
    warm = blurred_spots(canvas, bounds, lamps, 1.5)
    fall = array3(light.sun) * np.float32(max(0.0, float(light.sun_vector[2])))
    lit = np.ones((*paint.shape[:2], 5), np.float32)
    lit[..., :3] = array3(light.ambient) * (1 - 0.75 * dark[..., None]) + fall * (sunny * (1 - dark))[..., None]
    lit[..., :3] += warm[..., None] * array3((0.9, 0.62, 0.30)) * light.lit
    lit[..., :3] = np.clip(lit[..., :3] * paint * grain[..., None], 0, 1)
    atlas = Atlas()
    atlas.add_light(lit)
    return atlas


def blurred_spots(canvas: Canvas, bounds: Rectangle, spots: list[Rectangle], blur_m: float) -> np.ndarray:
    """Return 0 to 1 per texel: 1 within the rectangles, with soft edges."""
    layer = Canvas(canvas.width_m, canvas.height_m, canvas.scale)
    west, south = bounds[:2]
    for x0, y0, x1, y1 in spots:
        layer.rect(x0 - west, y0 - south, x1 - west, y1 - south, (255, 255, 255), 255)
    soft = layer.glow.filter(ImageFilter.GaussianBlur(blur_m * canvas.scale))
    return np.asarray(soft, dtype=np.float32) / 255
