"""The sky of a year: gradient, glow around the sun, clouds, and the hills and towers beyond the city."""

import numpy as np
from PIL import Image

from cosplace.demo.city.light import Light, array3

CLOUD_ROWS, CLOUD_COLUMNS = 192, 1536
HIGHEST = 1.4  # tangent of the elevation at the top row of the cloud map


class Sky:
    """Clouds differ from year to year; hills and towers stay, and follow from the city's seed."""

    def __init__(self, seed: int, year: int, light: Light) -> None:
        self.light = light
        self.clouds = cloud_map(np.random.default_rng([seed, 6, year]), light.clouds)
        self.skyline = skyline(np.random.default_rng([seed, 7]))

    def colours(self, azimuth: np.ndarray, rise: np.ndarray) -> np.ndarray:
        """Return linear light [n, 3] at azimuths (radians from north) and tangents of the elevation, both [n]."""
        light = self.light
        zenith, horizon = array3(light.zenith), array3(light.horizon)
        rise = np.maximum(rise, 0)
        colours: np.ndarray = zenith + (horizon - zenith) * np.exp(-3.2 * rise)[:, None]
        colours += array3(light.sun) * self._near_sun(azimuth, rise)[:, None]
        turn = azimuth / (2 * np.pi) % 1
        row = np.clip(rise / HIGHEST * CLOUD_ROWS, 0, CLOUD_ROWS - 1).astype(np.int32)
        cover = self.clouds[row, (turn * CLOUD_COLUMNS).astype(np.int32) % CLOUD_COLUMNS][:, None]
        colours += (array3(light.ambient) * 0.75 + array3(light.sun) * 0.22 - colours) * cover
        far = array3((0.10, 0.13, 0.14)) * array3(light.ambient) + 0.45 * horizon * array3(light.ambient)
        behind = rise < self.skyline[(turn * len(self.skyline)).astype(np.int32) % len(self.skyline)]
        colours[behind] = far
        return colours

    def _near_sun(self, azimuth: np.ndarray, rise: np.ndarray) -> np.ndarray:
        """Return the glow around the sun, by the cosine of the angle to it."""
        east, north, up = (float(value) for value in self.light.sun_vector)
        cosine = (np.sin(azimuth) * east + np.cos(azimuth) * north + rise * up) / np.sqrt(1 + rise * rise)
        glow: np.ndarray = 0.3 * np.clip(cosine, 0, 1) ** 24
        return glow


def cloud_map(rng: np.random.Generator, cover: float) -> np.ndarray:
    """Return the share of cloud, 0 to 1 [rows from the horizon, columns by azimuth]: thresholded noise."""
    total = np.zeros((CLOUD_ROWS, CLOUD_COLUMNS), np.float32)
    for octave, (rows, columns) in enumerate(((4, 12), (8, 24), (16, 48), (32, 96))):
        noise = rng.random((rows, columns), dtype=np.float32)
        ring = np.concatenate([noise, noise[:, :1]], axis=1)  # the last column meets the first one again
        total += (
            np.asarray(Image.fromarray(ring).resize((CLOUD_COLUMNS, CLOUD_ROWS), Image.Resampling.BICUBIC)) / 2**octave
        )
    total = (total - total.min()) / (total.max() - total.min())
    share: np.ndarray = np.clip((total - 1 + cover * 0.9) * 4, 0, 0.9).astype(np.float32)
    return share


def skyline(rng: np.random.Generator, steps: int = 2880) -> np.ndarray:
    """Return tangents of the elevation of hills and towers on the horizon, by azimuth."""
    turn = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    waves = sum(rng.uniform(0.4, 1) / count * np.sin(count * turn + rng.uniform(0, 6.28)) for count in range(1, 8))
    heights: np.ndarray = 0.045 + 0.03 * np.clip(waves, -1, 2)
    centre = rng.integers(steps)
    for _ in range(40):
        start, width = centre + int(rng.normal(0, steps / 16)), int(rng.integers(8, 26))
        columns = np.arange(start, start + width) % steps
        heights[columns] = np.maximum(heights[columns], rng.uniform(0.07, 0.2))
    return heights.astype(np.float32)
