"""Painting in metres, and an atlas that holds all textures with their smaller copies in one flat array.

Colours are mixed as light is: squares of the stored values (an approximation of sRGB), premultiplied by alpha.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
LEVELS = 5
CLEAR = (0, 0, 0, 0)


def shade(colour: Sequence[float], factor: float) -> Colour:
    """Return a darker (below 1) or lighter (above 1) colour."""
    red, green, blue = (min(255, max(0, round(value * factor))) for value in colour[:3])
    return red, green, blue


def mix(first: Sequence[float], second: Sequence[float], share: float) -> Colour:
    """Return `first` with a share of `second`, 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first[:3], second[:3], strict=True))
    return red, green, blue


class Canvas:
    """An upright picture measured in metres from its lower left corner, with a second layer of light it gives off."""

    def __init__(self, width_m: float, height_m: float, scale: float) -> None:
        """Create a transparent, dark canvas; `scale` is in texels per metre."""
        self.width_m, self.height_m, self.scale = width_m, height_m, scale
        size = max(1, round(width_m * scale)), max(1, round(height_m * scale))
        self.colour = Image.new("RGBA", size, CLEAR)
        self.glow = Image.new("L", size, 0)
        self._pens = ImageDraw.Draw(self.colour), ImageDraw.Draw(self.glow)

    def rect(self, x0: float, z0: float, x1: float, z1: float, fill: Colour, glow: int = 0) -> None:
        """Fill between two corners, lower left and upper right."""
        corners = [x0 * self.scale, self._row(z1), max(x0, x1) * self.scale - 1, self._row(z0) - 1]
        if corners[2] >= corners[0] and corners[3] >= corners[1]:
            self._pens[0].rectangle(corners, fill=(*fill, 255))
            self._pens[1].rectangle(corners, fill=glow)

    def ellipse(self, x0: float, z0: float, x1: float, z1: float, fill: Colour, glow: int = 0) -> None:
        """Fill the ellipse between two corners."""
        corners = [x0 * self.scale, self._row(z1), x1 * self.scale, self._row(z0)]
        self._pens[0].ellipse(corners, fill=(*fill, 255))
        self._pens[1].ellipse(corners, fill=glow)

    def polygon(self, points: Sequence[tuple[float, float]], fill: Colour, glow: int = 0) -> None:
        """Fill a polygon of points (x, z)."""
        corners = [(x * self.scale, self._row(z)) for x, z in points]
        self._pens[0].polygon(corners, fill=(*fill, 255))
        self._pens[1].polygon(corners, fill=glow)

    def text(self, x: float, z: float, words: str, height_m: float, fill: Colour, glow: int = 0) -> None:
        """Write words centred on a point."""
        font = ImageFont.load_default(max(4.0, height_m * self.scale))
        self._pens[0].text((x * self.scale, self._row(z)), words, fill=(*fill, 255), font=font, anchor="mm")
        self._pens[1].text((x * self.scale, self._row(z)), words, fill=glow, font=font, anchor="mm")

    def _row(self, z: float) -> float:
        return (self.height_m - z) * self.scale


class Atlas:
    """Textures by number; `sample` reads any mixture of them at once."""

    def __init__(self) -> None:
        self._pieces: list[np.ndarray] = []
        self._tables: list[list[tuple[int, int, int]]] = []
        self._end = 0
        self._ready: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, canvas: Canvas, grain: np.random.Generator | None = None) -> int:
        """Store a canvas with its halved copies; `grain` roughens the paint by a few percent. Returns its number."""
        layers = np.asarray(canvas.colour, dtype=np.float32) / 255
        if grain is not None:
            layers[..., :3] *= rough(grain, layers.shape[:2])[..., None]
        light = np.empty((*layers.shape[:2], 5), np.float32)
        light[..., :3] = np.clip(layers[..., :3], 0, 1) ** 2 * layers[..., 3:]
        light[..., 3] = layers[..., 3]
        light[..., 4] = np.asarray(canvas.glow, dtype=np.float32) / 255
        return self.add_light(light)

    def add_light(self, light: np.ndarray) -> int:
        """Store a texture [height, width, 5]: linear light times alpha, alpha, glow, all 0..1."""
        self._tables.append([self._store(level) for level in halvings(light, LEVELS)])
        return len(self._tables) - 1

    def flat(self, colour: Colour) -> int:
        """Store a texture of one colour and return its number."""
        canvas = Canvas(1, 1, 1)
        canvas.rect(0, 0, 1, 1, colour)
        return self.add(canvas)

    def _store(self, light: np.ndarray) -> tuple[int, int, int]:
        coded = light * np.float32(255)
        coded[..., :3] = np.sqrt(light[..., :3]) * np.float32(255)
        start, self._end, self._ready = self._end, self._end + light.shape[0] * light.shape[1], None
        self._pieces.append((coded + np.float32(0.5)).astype(np.uint8).reshape(-1, 5))
        return start, light.shape[1], light.shape[0]

    def sample(self, texture: np.ndarray, level: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return light, alpha and glow [n, 5] in 0 to 1; u from the left, v from the top, both 0 to 1."""
        texels, tables = self._arrays()
        start, width, height = tables[texture, np.clip(level, 0, LEVELS - 1)].T
        column = np.clip((u * width).astype(np.int32), 0, width - 1)
        row = np.clip((v * height).astype(np.int32), 0, height - 1)
        light: np.ndarray = texels[start + row * width + column].astype(np.float32) / np.float32(255)
        light[:, :3] *= light[:, :3]
        return light

    def width(self, texture: int) -> int:
        """Return the texels across a texture."""
        return self._tables[texture][0][1]

    def height(self, textures: np.ndarray) -> np.ndarray:
        """Return the texels down each texture."""
        heights: np.ndarray = self._arrays()[1][textures, 0, 2]
        return heights

    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all texels [n, 5] and, per texture and level, start, width and height."""
        if self._ready is None:
            self._ready = np.concatenate(self._pieces), np.array(self._tables, dtype=np.int32)
        return self._ready


@cache
def roughness() -> np.ndarray:
    """Return noise around 1, shared by all textures because drawing it is slow."""
    return np.random.default_rng(15).normal(1, 0.035, (1024, 1024)).astype(np.float32)


def rough(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return a piece of the shared noise, [rows, columns]."""
    rows, columns = np.arange(shape[0]) + rng.integers(1024), np.arange(shape[1]) + rng.integers(1024)
    piece: np.ndarray = roughness()[np.ix_(rows % 1024, columns % 1024)]
    return piece


def halvings(light: np.ndarray, levels: int) -> list[np.ndarray]:
    """Return the picture and its copies at a half, a quarter, ... of its size: [height, width, channels]."""
    stack = [light]
    while len(stack) < levels:
        rows, columns = stack[-1].shape[:2]
        even = stack[-1]
        if rows % 2 or columns % 2:
            even = np.pad(even, ((0, rows % 2), (0, columns % 2), (0, 0)), mode="edge")
        stack.append((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4)
    return stack
