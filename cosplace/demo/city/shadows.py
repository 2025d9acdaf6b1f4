"""Cast shadows, from one map: below what height each point of the city lies in shadow."""

import numpy as np

from cosplace.demo.city.layout import Rectangle

CELL_M = 0.5
LONGEST_M = 60.0


class Shadows:
    """`heights`: [rows from north, columns from west], metres; a point lower than its cell's value sees no sun."""

    def __init__(self, heights: np.ndarray, bounds: Rectangle) -> None:
        self.heights, self.bounds = heights, bounds

    def height_at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the height of the shadow at points in local metres, or at the nearest cell beyond the map."""
        west, _, _, north = self.bounds
        rows, columns = self.heights.shape
        column = np.clip(((x - west) / CELL_M).astype(np.int32), 0, columns - 1)
        row = np.clip(((north - y) / CELL_M).astype(np.int32), 0, rows - 1)
        shadow: np.ndarray = self.heights[row, column]
        return shadow


def cast_shadows(blockers: list[tuple[Rectangle, float]], bounds: Rectangle, sun: np.ndarray) -> Shadows:
    """Return the shadows of blocks (ground, height in metres); `sun` is the unit vector to it: east, north, up."""
    west, south, east, north = bounds
    tall = np.zeros((round((north - south) / CELL_M), round((east - west) / CELL_M)), np.float32)
    for (low_x, low_y, high_x, high_y), height in blockers:
        rows = slice(max(0, round((north - high_y) / CELL_M)), max(0, round((north - low_y) / CELL_M)))
        columns = slice(max(0, round((low_x - west) / CELL_M)), max(0, round((high_x - west) / CELL_M)))
        tall[rows, columns] = np.maximum(tall[rows, columns], height)
    return Shadows(sweep(tall, sun), bounds)


def sweep(tall: np.ndarray, sun: np.ndarray) -> np.ndarray:
    """Return the highest shadow over each cell: height of a block less the rise of the ray to the sun."""
    flat = float(np.hypot(sun[0], sun[1]))
    rise, longest = float(sun[2]) / flat, min(LONGEST_M, float(tall.max()) * flat / max(float(sun[2]), 0.05))
    shadow = tall.copy()
    for distance in np.arange(CELL_M, longest, CELL_M):
        down = round(float(sun[1]) / flat * distance / CELL_M)
        left = -round(float(sun[0]) / flat * distance / CELL_M)
        moved = shifted(tall, down, left)
        np.maximum(shadow, moved - distance * rise, out=shadow)
    return shadow


def shifted(grid: np.ndarray, down: int, right: int) -> np.ndarray:
    """Return the grid moved by whole cells, filled with zeros."""
    rows, columns = grid.shape
    moved = np.zeros_like(grid)
    if abs(down) < rows and abs(right) < columns:
        moved[max(0, down) : rows + min(0, down), max(0, right) : columns + min(0, right)] = grid[
            max(0, -down) : rows + min(0, -down), max(0, -right) : columns + min(0, -right)
        ]
    return moved
