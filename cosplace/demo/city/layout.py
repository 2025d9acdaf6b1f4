"""The plan of the city: a grid of streets, blocks cut into lots, and the places where photos are taken.

Local coordinates are metres east and north of the first crossing. Streets lie 60 m apart with their centre lines on
the centres of 10 m UTM cells, so that with M = 10 a photo taken a few metres off stays in the cell of its place.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cosplace.demo.city.settings import CitySettings

ORIGIN_EAST, ORIGIN_NORTH = 545_425.0, 4_181_465.0  # UTM metres of the first crossing, zone 10 S
PITCH_M, STREET_M, PAVEMENT_M, LOT_DEPTH_M = 60.0, 18.0, 3.6, 12.0
OUTSKIRTS_M = 45.0  # the streets go on that far beyond the last crossing

EAST, NORTH, WEST, SOUTH = range(4)  # the sides of a box, by their outward normals
NORMALS = np.array([(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)])

Rectangle = tuple[float, float, float, float]  # west, south, east, north


@dataclass(frozen=True)
class Lot:
    """Ground of one building; `sides` are those that look on a street, the first of them with the door."""

    ground: Rectangle
    sides: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """`streets`: centre lines' coordinates, the same for both directions; `places`: [n, 2] in local metres."""

    streets: tuple[float, ...]
    lots: tuple[Lot, ...]
    places: np.ndarray

    @property
    def bounds(self) -> Rectangle:
        """The ground that is built on, in local metres."""
        low, high = self.streets[0] - OUTSKIRTS_M, self.streets[-1] + OUTSKIRTS_M
        return low, low, high, high


def make_plan(settings: CitySettings) -> Plan:
    """Return the smallest square grid of streets with room for the places."""
    count = 2
    while len(street_points(count, settings.spacing)) < settings.places:
        count += 1
    points = street_points(count, settings.spacing)
    rng = np.random.default_rng([settings.seed, 1])
    chosen = np.sort(rng.permutation(len(points))[: settings.places])
    streets = tuple(PITCH_M * number for number in range(count))
    lots = tuple(lot for block in blocks(streets) for lot in cut_block(block, streets, rng))
    return Plan(streets, lots, points[chosen])


def street_points(count: int, spacing: int) -> np.ndarray:
    """Return points on the centre lines, `spacing` metres apart, crossings included: [n, 2]."""
    along = np.arange(0, PITCH_M * (count - 1) + 1, spacing)
    lines = PITCH_M * np.arange(count)
    points = {(x, y) for x in lines for y in along} | {(x, y) for x in along for y in lines}
    return np.array(sorted(points), dtype=float)


def blocks(streets: tuple[float, ...]) -> list[Rectangle]:
    """Return the ground between the streets and around the outermost ones."""
    half = STREET_M / 2
    edges = [streets[0] - OUTSKIRTS_M, *(edge for line in streets for edge in (line - half, line + half))]
    edges.append(streets[-1] + OUTSKIRTS_M)
    spans = list(zip(edges[::2], edges[1::2], strict=True))
    return [(west, south, east, north) for west, east in spans for south, north in spans]


def cut_block(block: Rectangle, streets: tuple[float, ...], rng: np.random.Generator) -> list[Lot]:
    """Return the lots along the streets around a block; corner lots belong to the north and south sides."""
    west, south, east, north = block
    first, last = streets[0], streets[-1]
    open_sides = {EAST: east < last, NORTH: north < last, WEST: west > first, SOUTH: south > first}
    inner_south = south + LOT_DEPTH_M * open_sides[SOUTH]
    inner_north = north - LOT_DEPTH_M * open_sides[NORTH]
    rows = {
        SOUTH: (west, south, east, inner_south),
        NORTH: (west, inner_north, east, north),
        WEST: (west, inner_south, west + LOT_DEPTH_M, inner_north),
        EAST: (east - LOT_DEPTH_M, inner_south, east, inner_north),
    }
    lots: list[Lot] = []
    for side, row in rows.items():
        if open_sides[side]:
            lots += cut_row(row, side, open_sides, rng)
    return lots


def cut_row(row: Rectangle, side: int, open_sides: dict[int, bool], rng: np.random.Generator) -> list[Lot]:
    """Return a row of lots, 7 to 11 m wide; the first and last may face a side street too."""
    west, south, east, north = row
    along_x = side in (NORTH, SOUTH)
    length = east - west if along_x else north - south
    shares = rng.uniform(7.5, 10.5, max(1, round(length / 9)))
    cuts = np.concatenate([[0.0], np.cumsum(shares) / shares.sum() * length])
    lots = []
    for low, high in pairwise(map(float, cuts)):
        if along_x:
            ends = [WEST] * bool(low == 0 and open_sides[WEST]) + [EAST] * bool(
                high == float(cuts[-1]) and open_sides[EAST]
            )
            lots.append(Lot((west + low, south, west + high, north), (side, *ends)))
        else:
            lots.append(Lot((west, south + low, east, south + high), (side,)))
    return lots
