"""A ray caster in two and a half dimensions: one ray per column over the plan, then vertical spans of pixels.

A pinhole camera with a level optical axis sees a vertical plane in a column as one span of rows: a point `z` metres
high whose depth along the axis is `t` metres falls on row `horizon - focal * (z - camera height) / t`. So all views of
a panorama are cast together, as one wide picture with a ray for each column; far surfaces are painted first.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cosplace.demo.city.layout import EAST, NORMALS, NORTH, SOUTH, WEST
from cosplace.demo.city.light import array3
from cosplace.demo.city.scene import Scene

SOLID_LAYERS, PROP_LAYERS = 3, 7
REACH_M = 110.0  # props farther than this are not drawn
FAR = np.float32(1e9)
LAMP = array3((1.9, 1.6, 1.15))


@dataclass(frozen=True)
class Camera:
    """Position in local metres, `headings` in degrees clockwise from north; `width` and `height` of a view in pixels.

    `view_degrees`: horizontal angle of view. `horizon`: its row, as a share of the height from the top.
    """

    x: float
    y: float
    headings: tuple[float, ...]
    width: int
    height: int
    view_degrees: float = 75.0
    eye_m: float = 2.4
    horizon: float = 0.66

    @cached_property
    def focal(self) -> float:
        """Return the focal length in pixels."""
        return self.width / 2 / float(np.tan(np.radians(self.view_degrees) / 2))

    @cached_property
    def rays(self) -> np.ndarray:
        """Return metres east and north per metre of depth: [columns of all views, 2] float32."""
        turns = np.radians(np.repeat(self.headings, self.width))
        aside = np.tile((np.arange(self.width) + 0.5 - self.width / 2) / self.focal, len(self.headings))
        east = np.sin(turns) + np.cos(turns) * aside
        north = np.cos(turns) - np.sin(turns) * aside
        rays: np.ndarray = np.stack([east, north], axis=1).astype(np.float32)
        return np.where(np.abs(rays) < 1e-6, np.float32(1e-6), rays)

    def row(self, z: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Return the row of a point, in pixels from the top."""
        rows: np.ndarray = self.horizon * self.height - self.focal * (z - self.eye_m) / depth
        return rows


@dataclass(frozen=True)
class Layer:
    """For each column one surface that its ray meets, all arrays [columns]; `near` is FAR where there is none.

    near, far: depths in metres at which the ray enters and leaves; u: 0..1 across the texture; bottom, top: metres;
    sun: share of sunlight by the surface's direction; shadow: metres below which it lies in shadow.
    """

    near: np.ndarray
    far: np.ndarray
    u: np.ndarray
    bottom: np.ndarray
    top: np.ndarray
    texture: np.ndarray
    cap: np.ndarray
    sun: np.ndarray
    tone: np.ndarray
    shadow: np.ndarray


def through_boxes(camera: Camera, boxes: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return depths at which rays enter and leave boxes, and whether they enter by an east or west side.

    `boxes` [..., 9] and `rays` [..., 2] broadcast; FAR where a ray misses a box or starts inside it.
    """
    east_near, east_far = slab(boxes[..., 0] - camera.x, boxes[..., 2] - camera.x, rays[..., 0])
    north_near, north_far = slab(boxes[..., 1] - camera.y, boxes[..., 3] - camera.y, rays[..., 1])
    near, far = np.maximum(east_near, north_near), np.minimum(east_far, north_far)
    return np.where((near < far) & (near > 0.3), near, FAR), far, east_near > north_near


def slab(low: np.ndarray, high: np.ndarray, ray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return depths at which rays enter and leave the space between two parallel planes."""
    first, second = low / ray, high / ray
    return np.minimum(first, second), np.maximum(first, second)


def on_boards(camera: Camera, boards: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return depths at which rays meet boards, and where across them (0 to 1); FAR if they miss."""
    to_x, to_y = boards[..., 0] - camera.x, boards[..., 1] - camera.y
    squared = to_x * to_x + to_y * to_y
    depth = squared / (rays[..., 0] * to_x + rays[..., 1] * to_y)
    aside = (rays[..., 0] * to_y - rays[..., 1] * to_x) * -depth / np.sqrt(squared)
    u = 0.5 + aside / boards[..., 2]
    return np.where((depth > 1.2) & (u >= 0) & (u < 1), depth, FAR), u


def box_layer(scene: Scene, camera: Camera, rows: np.ndarray, textures: np.ndarray, chosen: np.ndarray) -> Layer:
    """Return the surfaces of the chosen box of each column."""
    boxes, textures, rays = rows[chosen], textures[chosen], camera.rays
    near, far, by_east = through_boxes(camera, boxes, rays)
    x, y = camera.x + rays[:, 0] * np.minimum(near, 999), camera.y + rays[:, 1] * np.minimum(near, 999)
    side = np.where(by_east, np.where(rays[:, 0] > 0, WEST, EAST), np.where(rays[:, 1] > 0, SOUTH, NORTH))
    from_west = (x - boxes[:, 0]) / (boxes[:, 2] - boxes[:, 0])
    from_south = (y - boxes[:, 1]) / (boxes[:, 3] - boxes[:, 1])
    u = np.choose(side, [from_south, 1 - from_west, 1 - from_south, from_west])
    every, normals = np.arange(len(chosen)), NORMALS[side].astype(np.float32)
    sun = np.maximum(normals @ scene.light.sun_vector[:2].astype(np.float32), 0)
    shadow = scene.shadows.height_at(x + normals[:, 0], y + normals[:, 1])
    tone = np.where(by_east, np.float32(0.9), np.float32(1.0))
    top, texture = boxes[every, 5 + side], textures[every, side]
    return Layer(near, far, u, boxes[:, 4], top, texture, textures[:, 4], sun, tone, shadow)


def board_layer(scene: Scene, camera: Camera, chosen: np.ndarray) -> Layer:
    """Return the boards chosen for each column."""
    arrays = scene.arrays
    boards, texture = arrays.boards[chosen], arrays.board_textures[chosen]
    near, u = on_boards(camera, boards, camera.rays)
    zeros, ones = np.zeros_like(near), np.ones_like(near)
    return Layer(near, near, u, zeros, boards[:, 3], texture, texture, 0.55 * ones, ones, zeros)


def nearest(depths: np.ndarray, count: int) -> list[np.ndarray]:
    """Return the numbers of the `count` nearest items per column, nearest first: a list of [columns]."""
    depths, order, every = depths.copy(), [], np.arange(len(depths))
    for _ in range(min(count, depths.shape[1])):
        order.append(depths.argmin(axis=1))
        depths[every, order[-1]] = FAR
    return order


def solid_layers(scene: Scene, camera: Camera) -> list[Layer]:
    """Return the buildings, nearest first."""
    rows, textures = scene.arrays.solids, scene.arrays.solid_textures
    if not len(rows):
        return []
    depths, _, _ = through_boxes(camera, rows[None], camera.rays[:, None])
    return [box_layer(scene, camera, rows, textures, chosen) for chosen in nearest(depths, SOLID_LAYERS)]


def prop_layers(scene: Scene, camera: Camera, limit: np.ndarray) -> list[Layer]:
    """Return props in front of buildings, nearest first; `limit` is the depth of the nearest building."""
    arrays = scene.arrays
    boxes = within_reach(camera, (arrays.props[:, :2] + arrays.props[:, 2:4]) / 2)
    boards = within_reach(camera, arrays.boards[:, :2])
    rays = camera.rays[:, None]
    by_box, _, _ = through_boxes(camera, arrays.props[boxes][None], rays)
    by_board, _ = on_boards(camera, arrays.boards[boards][None], rays)
    depths = np.concatenate([by_box, by_board], axis=1)
    depths = np.where(depths < limit[:, None] + 0.02, depths, FAR)
    layers, every = [], np.arange(len(depths))
    for chosen in nearest(depths, PROP_LAYERS):
        seen, is_box = depths[every, chosen] < FAR, chosen < len(boxes)
        if len(boxes):
            numbers = boxes[np.where(is_box, chosen, 0)]
            layer = box_layer(scene, camera, arrays.props, arrays.prop_textures, numbers)
            layers.append(only(layer, seen & is_box))
        if len(boards):
            layer = board_layer(scene, camera, boards[np.where(is_box, 0, chosen - len(boxes))])
            layers.append(only(layer, seen & ~is_box))
    return layers


def within_reach(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Return the numbers of the points [n, 2] that are near enough to be drawn."""
    near: np.ndarray = np.nonzero(np.hypot(points[:, 0] - camera.x, points[:, 1] - camera.y) < REACH_M)[0]
    return near


def only(layer: Layer, kept: np.ndarray) -> Layer:
    """Return the layer without the columns that are not kept."""
    return replace(layer, near=np.where(kept, layer.near, FAR))
