"""The city of one year as arrays of axis-aligned boxes and upright boards, for the ray caster."""

from dataclasses import dataclass, field

import numpy as np

from cosplace.demo.city.layout import EAST, NORTH, SOUTH, WEST, Rectangle
from cosplace.demo.city.light import Light
from cosplace.demo.city.shadows import Shadows
from cosplace.demo.city.sky import Sky
from cosplace.demo.city.textures import Atlas


@dataclass(frozen=True)
class Box:
    """A block with a texture on each side (EAST, NORTH, WEST, SOUTH order) and one for its top and underside.

    `tops` in metres: sides may end at other heights, as a gable does.
    """

    ground: Rectangle
    bottom: float
    tops: tuple[float, float, float, float]
    sides: tuple[int, int, int, int]
    cap: int


@dataclass(frozen=True)
class Board:
    """An upright picture that always turns to the camera: a tree, a lamp, a passer-by."""

    x: float
    y: float
    width: float
    height: float
    texture: int


@dataclass(frozen=True)
class Scene:
    """`solids`: buildings; `props`: what may stand in front of them; `ground`: one lit texture over `bounds`."""

    atlas: Atlas
    solids: list[Box]
    props: list[Box]
    boards: list[Board]
    ground: Atlas
    bounds: Rectangle
    shadows: Shadows
    sky: Sky
    light: Light
    arrays: "SceneArrays" = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "arrays", SceneArrays(self.solids, self.props, self.boards))


class SceneArrays:
    """Boxes as rows: west, south, east, north, bottom, four tops; boards as x, y, width, height."""

    def __init__(self, solids: list[Box], props: list[Box], boards: list[Board]) -> None:
        self.solids, self.solid_textures = box_rows(solids)
        self.props, self.prop_textures = box_rows(props)
        rows = [(board.x, board.y, board.width, board.height) for board in boards]
        self.boards = np.array(rows, dtype=np.float32).reshape(-1, 4)
        self.board_textures = np.array([board.texture for board in boards], dtype=np.int32)


def box_rows(boxes: list[Box]) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions [n, 9] float32 and textures [n, 5] int32 of boxes."""
    rows = [(*box.ground, box.bottom, *box.tops) for box in boxes]
    textures = [(*box.sides, box.cap) for box in boxes]
    return np.array(rows, dtype=np.float32).reshape(-1, 9), np.array(textures, dtype=np.int32).reshape(-1, 5)


def side_width(ground: Rectangle, side: int) -> float:
    """Return the length of a side in metres."""
    west, south, east, north = ground
    return north - south if side in (EAST, WEST) else east - west


def jutting(ground: Rectangle, side: int, left: float, right: float, depth: float) -> Rectangle:
    """Return the ground of a part that juts out of a side, from `left` to `right` as seen from the street."""
    west, south, east, north = ground
    if side == SOUTH:
        return west + left, south - depth, west + right, south
    if side == NORTH:
        return east - right, north, east - left, north + depth
    if side == EAST:
        return east, south + left, east + depth, south + right
    return west - depth, north - right, west, north - left
