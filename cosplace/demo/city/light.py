"""The light of a year: position of the sun, look of the sky, and exposure of the camera."""

from dataclasses import dataclass, replace

import numpy as np

Light3 = tuple[float, float, float]


def array3(light: Light3) -> np.ndarray:
    """Return linear light as [3] float32."""
    return np.array(light, dtype=np.float32)


@dataclass(frozen=True)
class Light:
    """Angles in degrees (azimuth clockwise from north); colours as linear light; `haze` a metre; shares 0 to 1."""

    month: int
    sun_azimuth: float
    sun_elevation: float
    sun: Light3
    ambient: Light3
    zenith: Light3
    horizon: Light3
    clouds: float
    haze: float
    lit: float  # share of the windows with a lamp on
    tint: Light3 = (1.0, 1.0, 1.0)
    exposure: float = 1.0

    @property
    def sun_vector(self) -> np.ndarray:
        """Unit vector towards the sun: east, north, up."""
        azimuth, elevation = np.radians([self.sun_azimuth, self.sun_elevation])
        flat = np.cos(elevation)
        return np.array([np.sin(azimuth) * flat, np.cos(azimuth) * flat, np.sin(elevation)])


NOON = Light(
    6, 195, 58, (1.75, 1.62, 1.40), (0.42, 0.50, 0.62), (0.10, 0.26, 0.62), (0.55, 0.72, 0.90), 0.35, 0.002, 0.0
)
MORNING = Light(
    4, 108, 36, (1.7, 1.42, 1.05), (0.38, 0.44, 0.54), (0.16, 0.34, 0.66), (0.80, 0.82, 0.82), 0.2, 0.004, 0.0
)
GOLDEN = Light(
    9, 255, 24, (2.1, 1.30, 0.62), (0.36, 0.36, 0.44), (0.22, 0.36, 0.60), (1.00, 0.72, 0.42), 0.4, 0.005, 0.1
)
OVERCAST = Light(
    3, 180, 50, (0.10, 0.10, 0.10), (0.74, 0.78, 0.82), (0.52, 0.56, 0.60), (0.74, 0.77, 0.79), 0.9, 0.006, 0.15
)
DUSK = Light(
    11, 262, 4, (0.22, 0.10, 0.07), (0.20, 0.21, 0.34), (0.05, 0.07, 0.20), (0.85, 0.36, 0.26), 0.45, 0.004, 0.6
)
FOG = Light(7, 150, 45, (0.35, 0.34, 0.31), (0.66, 0.69, 0.72), (0.62, 0.66, 0.70), (0.80, 0.82, 0.83), 0.0, 0.020, 0.1)
AUTUMN = Light(
    10, 215, 34, (1.6, 1.36, 1.00), (0.38, 0.42, 0.52), (0.14, 0.30, 0.60), (0.72, 0.76, 0.82), 0.6, 0.003, 0.05
)
WINTER = Light(
    1, 165, 28, (1.2, 1.16, 1.10), (0.50, 0.54, 0.62), (0.30, 0.42, 0.60), (0.82, 0.84, 0.86), 0.3, 0.004, 0.1
)

MOODS = (NOON, OVERCAST, GOLDEN, MORNING, AUTUMN, FOG, DUSK, WINTER)


def light_of_year(seed: int, mood: int, year: int) -> Light:
    """Return a mood with sun, tint and exposure of the year; `mood` is an index modulo MOODS."""
    rng = np.random.default_rng([seed, 2, year])
    base = MOODS[mood % len(MOODS)]
    red, green, blue = rng.normal(1, 0.04, 3)
    return replace(
        base,
        sun_azimuth=base.sun_azimuth + rng.uniform(-15, 15),
        sun_elevation=base.sun_elevation * rng.uniform(0.85, 1.15),
        tint=(red, green, blue),
        exposure=rng.uniform(0.9, 1.12),
    )
