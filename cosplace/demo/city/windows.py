"""Windows, doors and shop fronts, painted in metres on a canvas."""

from dataclasses import dataclass

import numpy as np

from cosplace.demo.city.houses import House, Shop
from cosplace.demo.city.textures import Canvas, Colour, mix, shade

WARM: Colour = (255, 206, 128)


@dataclass(frozen=True)
class Hand:
    """What paints this year's accidents: blinds down, lamps on; `lit` is the share of windows with a lamp."""

    rng: np.random.Generator
    lit: float

    def lamp(self) -> int:
        """Return the glow of one window, 0 if dark."""
        chance, strength = self.rng.random(2)
        return int(150 + 100 * strength) if chance < self.lit else 0


def glass(canvas: Canvas, x0: float, z0: float, x1: float, z1: float, hand: Hand) -> None:
    """Paint a pane: dark, with a reflection of the sky, perhaps a blind, perhaps a lamp behind."""
    lamp, tone = hand.lamp(), hand.rng.uniform(0.75, 1.2)
    base = WARM if lamp else shade((58, 74, 92), tone)
    canvas.rect(x0, z0, x1, z1, base, lamp)
    if not lamp:
        canvas.polygon([(x0, z1), (x1, z1), (x0, z0 + (z1 - z0) * 0.3)], shade((104, 130, 152), tone))
    if hand.rng.random() < 0.3:
        blind = z1 - (z1 - z0) * hand.rng.uniform(0.2, 0.7)
        canvas.rect(x0, blind, x1, z1, (222, 214, 196), lamp // 2)


def window(canvas: Canvas, x: float, z: float, width: float, height: float, house: House, hand: Hand) -> None:
    """Paint a window of the house's kind; `x`, `z` are its lower left corner."""
    frame, kind = 0.12, house.window
    if kind == "shutters":
        for left in (x - 0.42, x + width + 0.04):
            canvas.rect(left, z, left + 0.38, z + height, house.door)
            canvas.rect(left + 0.06, z + 0.1, left + 0.32, z + height - 0.1, shade(house.door, 0.82))
    if kind == "arched":
        canvas.ellipse(
            x - frame, z + height - width / 2 - frame, x + width + frame, z + height + width / 2 + frame, house.trim
        )
    canvas.rect(x - frame, z - frame, x + width + frame, z + height + frame * (kind != "arched"), house.trim)
    if kind == "arched":
        canvas.ellipse(x, z + height - width / 2, x + width, z + height + width / 2, (70, 88, 106))
    glass(canvas, x, z, x + width, z + height, hand)
    mullions(canvas, x, z, width, height, house)
    canvas.rect(x - 0.22, z - 0.22, x + width + 0.22, z - 0.08, shade(house.trim, 0.86))
    if kind == "french":
        balcony(canvas, x - 0.3, z, width + 0.6)


def mullions(canvas: Canvas, x: float, z: float, width: float, height: float, house: House) -> None:
    """Paint the bars between the panes."""
    rows, columns = {"sash": (2, 1), "arched": (2, 2), "wide": (1, 3), "grid": (4, 3), "french": (1, 2)}.get(
        house.window, (2, 2)
    )
    for row in range(1, rows):
        middle = z + height * row / rows
        canvas.rect(x, middle - 0.035, x + width, middle + 0.035, house.trim)
    for column in range(1, columns):
        middle = x + width * column / columns
        canvas.rect(middle - 0.035, z, middle + 0.035, z + height, house.trim)


def balcony(canvas: Canvas, x: float, z: float, width: float) -> None:
    """Paint a railing of iron bars in front of a window."""
    iron = (40, 42, 46)
    canvas.rect(x, z - 0.12, x + width, z, iron)
    canvas.rect(x, z + 0.85, x + width, z + 0.93, iron)
    for bar in np.arange(x, x + width, 0.16):
        canvas.rect(bar, z, bar + 0.045, z + 0.9, iron)


def door(canvas: Canvas, x: float, house: House, hand: Hand) -> None:
    """Paint a front door, 1.1 m wide, with a fanlight, two steps and a frame; `x` is its left edge."""
    canvas.rect(x - 0.25, 0, x + 1.35, 2.95, house.trim)
    canvas.rect(x, 0.3, x + 1.1, 2.3, house.door)
    for low in (0.5, 1.4):
        canvas.rect(x + 0.15, low, x + 0.95, low + 0.7, shade(house.door, 0.78))
    glass(canvas, x, 2.4, x + 1.1, 2.8, hand)
    canvas.rect(x - 0.4, 0, x + 1.5, 0.16, (170, 166, 158))
    canvas.rect(x - 0.3, 0.16, x + 1.4, 0.3, (186, 182, 174))


def garage(canvas: Canvas, x: float, width: float, house: House) -> None:
    """Paint a garage door of panels; `x` is its left edge."""
    canvas.rect(x - 0.15, 0, x + width + 0.15, 2.5, house.trim)
    panel = mix(house.trim, house.wall, 0.35)
    for low in np.arange(0, 2.3, 0.58):
        canvas.rect(x, low + 0.04, x + width, low + 0.56, panel)


def shop_front(canvas: Canvas, x0: float, x1: float, height: float, shop: Shop, hand: Hand) -> None:
    """Paint large panes over a low wall, and a band with the name above."""
    glow = 210 if hand.lit > 0.3 else 0
    canvas.rect(x0, 0, x1, height - 0.15, shade(shop.sign, 0.62))
    panes = max(1, round((x1 - x0) / 2.2))
    pitch = (x1 - x0 - 0.2) / panes
    for left in x0 + 0.2 + pitch * np.arange(panes):
        canvas.rect(left, 0.55, left + pitch - 0.2, 2.6, WARM if glow else (66, 82, 96), glow)
        if not glow:
            canvas.polygon([(left, 2.6), (left + pitch * 0.7, 2.6), (left, 1.2)], (112, 136, 154))
        for item in np.arange(left + 0.1, left + pitch - 0.5, 0.45):
            tall = hand.rng.uniform(0.2, 0.8)
            canvas.rect(
                item, 0.55, item + 0.32, 0.55 + tall, shade((200, 150, 110), hand.rng.uniform(0.5, 1.2)), glow // 2
            )
    canvas.rect(x0 + 0.05, height - 1.0, x1 - 0.05, height - 0.2, shop.sign, glow // 3)
    letters = min(0.62, (x1 - x0) / len(shop.name) * 1.2)
    canvas.text((x0 + x1) / 2, height - 0.6, shop.name, letters, shop.letters, glow)
