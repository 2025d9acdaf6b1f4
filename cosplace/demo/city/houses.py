"""Buildings: material, colours, storeys, windows and roof, and the paint and shops that change over the years."""

from dataclasses import dataclass

import numpy as np

from cosplace.demo.city.textures import Colour, mix, shade

FIRST_YEAR = 2009
REPAINTED_A_YEAR, NEW_SHOP_A_YEAR = 0.025, 0.07

WALLS: tuple[Colour, ...] = (
    (196, 84, 62),
    (150, 62, 50),
    (222, 170, 96),
    (236, 205, 130),
    (246, 228, 190),
    (232, 160, 140),
    (206, 110, 120),
    (122, 150, 190),
    (86, 118, 160),
    (160, 196, 210),
    (110, 160, 150),
    (140, 176, 128),
    (92, 124, 84),
    (186, 192, 140),
    (176, 150, 190),
    (122, 100, 150),
    (236, 234, 226),
    (188, 184, 176),
    (128, 128, 130),
    (214, 132, 70),
    (120, 84, 62),
    (66, 82, 104),
    (240, 190, 180),
    (90, 164, 176),
)
TRIMS: tuple[Colour, ...] = (
    (244, 240, 228),
    (238, 226, 196),
    (52, 62, 58),
    (70, 52, 44),
    (240, 240, 244),
    (44, 58, 88),
)
SIGNS: tuple[Colour, ...] = (
    (190, 40, 44),
    (24, 96, 84),
    (28, 62, 128),
    (236, 176, 40),
    (40, 40, 46),
    (120, 44, 96),
    (226, 98, 40),
    (236, 230, 214),
)
DOORS: tuple[Colour, ...] = ((150, 36, 40), (32, 72, 62), (36, 58, 110), (74, 48, 36), (210, 150, 40), (60, 60, 66))
SHOP_NAMES = (
    "BOOKS",
    "BAKERY",
    "TEA",
    "HATS",
    "CAFE",
    "NOODLES",
    "RECORDS",
    "FLOWERS",
    "BIKES",
    "PIZZA",
    "TOYS",
    "CHEESE",
    "PRINTS",
    "SHOES",
    "TAQUERIA",
    "CLOCKS",
    "PHARMACY",
    "TAILOR",
    "LAMPS",
    "FISH",
    "MAPS",
    "RADIO",
    "VINYL",
    "SOUP",
)


@dataclass(frozen=True)
class Shop:
    """The shop on a ground floor."""

    name: str
    sign: Colour
    letters: Colour
    awning: tuple[Colour, Colour] | None


@dataclass(frozen=True)
class House:
    """A building in one year; lengths in metres. `bays`: protruding windows on the street side."""

    material: str
    wall: Colour
    trim: Colour
    door: Colour
    storeys: int
    ground_m: float
    storey_m: float
    window: str
    window_width_m: float
    pier_m: float
    roof: str
    bays: bool
    door_first: bool
    shop: Shop | None

    @property
    def wall_m(self) -> float:
        """Height of the walls, without what the roof adds on the street side."""
        return self.ground_m + self.storey_m * self.storeys


def house_of_year(seed: int, number: int, year: int) -> House:
    """Return a house in a year: the same each year except for new paint and new shops."""
    rng = np.random.default_rng([seed, 3, number])
    paints = count_events(rng, year, REPAINTED_A_YEAR)
    shops = count_events(rng, year, NEW_SHOP_A_YEAR)
    material = str(rng.choice(["brick", "siding", "siding", "stucco", "stucco", "panels"]))
    storeys = int(rng.integers(1, 5))
    bays = material == "siding" and rng.random() < 0.8
    windows = ["sash", "grid"] if bays else ["sash", "arched", "wide", "shutters", "french", "grid"]
    has_shop = rng.random() < 0.55
    paint = np.random.default_rng([seed, 4, number, paints])
    wall = pick(paint, WALLS[:3] + WALLS[17:21] if material == "brick" else WALLS)
    light_trims = TRIMS if sum(wall) > 330 else TRIMS[:2] + TRIMS[4:5]
    return House(
        material=material,
        wall=mix(wall, shade(wall, paint.uniform(0.8, 1.15)), 0.8),
        trim=pick(paint, light_trims),
        door=pick(paint, DOORS),
        storeys=storeys,
        ground_m=float(rng.uniform(3.4, 4.2)) if has_shop else float(rng.uniform(3.0, 3.5)),
        storey_m=float(rng.uniform(2.9, 3.5)),
        window=str(rng.choice(windows)),
        window_width_m=float(rng.uniform(0.9, 1.6)),
        pier_m=float(rng.uniform(0.6, 1.5)),
        roof=str(rng.choice(["cornice", "cornice", "gable", "stepped", "mansard", "mission", "parapet"])),
        bays=bays,
        door_first=bool(rng.random() < 0.5),
        shop=new_shop(np.random.default_rng([seed, 5, number, shops])) if has_shop else None,
    )


def count_events(rng: np.random.Generator, year: int, share: float) -> int:
    """Return how many events happened by a year; always draws as many random numbers."""
    return int((rng.random(40)[: year - FIRST_YEAR] < share).sum())


def new_shop(rng: np.random.Generator) -> Shop:
    """Return a shop with a name, colours and perhaps an awning."""
    sign = pick(rng, SIGNS)
    letters = (250, 244, 226) if sum(sign) < 420 else (40, 36, 36)
    awning = (pick(rng, SIGNS[:7]), (244, 240, 230)) if rng.random() < 0.6 else None
    return Shop(str(rng.choice(SHOP_NAMES)), sign, letters, awning)


def pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """Return one of the colours."""
    return colours[int(rng.integers(len(colours)))]
