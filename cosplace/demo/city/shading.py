"""From surfaces to pixels: sky and ground first, then the layers from far to near, in linear light; then the camera."""

from dataclasses import replace

import numpy as np

from cosplace.demo.city.light import array3
from cosplace.demo.city.raycast import FAR, LAMP, Camera, Layer, prop_layers, solid_layers
from cosplace.demo.city.scene import Scene
from cosplace.demo.city.textures import LEVELS


def render(scene: Scene, camera: Camera, supersample: int = 2) -> np.ndarray:
    """Return the views of a panorama, [headings, height, width, 3] uint8, with `supersample` squared rays per pixel."""
    fine = replace(camera, width=camera.width * supersample, height=camera.height * supersample)
    picture = background(scene, fine)
    solids = solid_layers(scene, fine)
    limit = solids[0].near if solids else np.full(len(fine.rays), FAR)
    for layer in solids[::-1] + prop_layers(scene, fine, limit)[::-1]:
        paint_layer(picture, scene, fine, layer)
    views = picture.reshape(camera.height, supersample, len(camera.headings), camera.width, supersample, 3)
    return develop(views.mean(axis=(1, 4)).transpose(1, 0, 2, 3), scene)


def background(scene: Scene, camera: Camera) -> np.ndarray:
    """Return sky above the horizon and ground below, as linear light [height, columns, 3]."""
    rays, columns = camera.rays, len(camera.rays)
    picture = np.empty((camera.height, columns, 3), np.float32)
    split = round(camera.horizon * camera.height)
    azimuth, lengths = np.arctan2(rays[:, 0], rays[:, 1]), np.hypot(rays[:, 0], rays[:, 1])
    above = (camera.horizon * camera.height - np.arange(split) - 0.5) / camera.focal
    rise = (above[:, None] / lengths).ravel().astype(np.float32)
    picture[:split] = scene.sky.colours(np.tile(azimuth, split), rise).reshape(split, columns, 3)
    below = np.arange(split, camera.height) + 0.5 - camera.horizon * camera.height
    depth = (camera.focal * camera.eye_m / np.maximum(below, 0.25)).astype(np.float32)
    picture[split:] = ground(scene, camera, depth)
    return picture


def ground(scene: Scene, camera: Camera, depth: np.ndarray) -> np.ndarray:
    """Return the rows of the ground at `depth` metres along the axis: [rows, columns, 3]."""
    west, south, east, north = scene.bounds
    x = camera.x + depth[:, None] * camera.rays[:, 0]
    y = camera.y + depth[:, None] * camera.rays[:, 1]
    # A pixel is depth / focal wide and longer than that by depth / eye: the mean of both chooses the copy.
    footprint = depth / camera.focal * np.sqrt(np.maximum(depth / camera.eye_m, 1))
    level = mip_level(footprint * ground_scale(scene))
    level = np.broadcast_to(level[:, None], x.shape).ravel()
    u, v = (x.ravel() - west) / (east - west), (north - y.ravel()) / (north - south)
    light = scene.ground.sample(np.zeros(len(u), np.int32), level, u, v)[:, :3].reshape(*x.shape, 3)
    return fogged(light, scene, depth[:, None, None])


def ground_scale(scene: Scene) -> float:
    """Return texels per metre of the ground."""
    return scene.ground.width(0) / (scene.bounds[2] - scene.bounds[0])


def mip_level(texels: np.ndarray) -> np.ndarray:
    """Return the mip level for a pixel that is so many texels wide."""
    levels: np.ndarray = np.clip(np.round(np.log2(np.maximum(texels, 1e-3))), 0, LEVELS - 1).astype(np.int32)
    return levels


def fogged(light: np.ndarray, scene: Scene, depth: np.ndarray, alpha: np.ndarray | float = 1.0) -> np.ndarray:
    """Light [..., 3] as it comes through `depth` metres of air; `alpha` is the share of the pixel that it covers."""
    clear = np.exp(-scene.light.haze * np.minimum(depth, 2000))
    through: np.ndarray = light * clear + array3(scene.light.horizon) * np.float32(0.85) * alpha * (1 - clear)
    return through


def paint_layer(picture: np.ndarray, scene: Scene, camera: Camera, layer: Layer) -> None:
    """Paint one surface per column, with the top or underside of its box if it is visible."""
    seen = np.nonzero(layer.near < FAR)[0]
    if not len(seen):
        return
    near, far = layer.near[seen], layer.far[seen]
    top_row, bottom_row = camera.row(layer.top[seen], near), camera.row(layer.bottom[seen], near)
    from_above, from_below = layer.top[seen] < camera.eye_m, layer.bottom[seen] > camera.eye_m
    cap_top = np.where(from_above, camera.row(layer.top[seen], far), np.where(from_below, bottom_row, 1))
    cap_bottom = np.where(from_above, top_row, np.where(from_below, camera.row(layer.bottom[seen], far), 0))
    paint_cap(picture, scene, layer, seen, cap_top, cap_bottom)
    paint_face(picture, scene, camera, layer, seen, top_row, bottom_row)


def spans(height: int, top: np.ndarray, bottom: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the pixels whose centres are between `top` and `bottom` [columns]."""
    first = max(0, int(np.floor(top.min())))
    centres = np.arange(first, max(first, min(height, int(np.ceil(bottom.max())) + 1)))[:, None] + 0.5
    rows, columns = np.nonzero((centres >= top) & (centres < bottom))
    return rows + first, columns


def paint_cap(
    picture: np.ndarray, scene: Scene, layer: Layer, seen: np.ndarray, top: np.ndarray, bottom: np.ndarray
) -> None:
    """Paint tops and undersides, of one colour each."""
    rows, columns = spans(len(picture), top, bottom)
    if not len(rows):
        return
    at, zeros = seen[columns], np.zeros(len(rows), np.float32)
    albedo = scene.atlas.sample(layer.cap[at], zeros.astype(np.int32), zeros, zeros)[:, :3]
    upward = layer.bottom[at] < 2
    sun = np.where(upward & (layer.shadow[at] < layer.top[at]), np.float32(scene.light.sun_vector[2]), 0)
    ambient = np.where(upward, np.float32(1.0), np.float32(0.45))
    light = array3(scene.light.ambient) * ambient[:, None] + array3(scene.light.sun) * sun[:, None]
    picture[rows, at] = fogged(albedo * light, scene, layer.near[at][:, None])


def paint_face(
    picture: np.ndarray,
    scene: Scene,
    camera: Camera,
    layer: Layer,
    seen: np.ndarray,
    top: np.ndarray,
    bottom: np.ndarray,
) -> None:
    """Paint the textured sides, lit by the sky and, above their shadow, by the sun."""
    rows, columns = spans(len(picture), top, bottom)
    if not len(rows):
        return
    at = seen[columns]
    v = (rows + 0.5 - top[columns]) / (bottom - top)[columns]
    z = layer.top[at] + (layer.bottom - layer.top)[at] * v
    texel = scene.atlas.sample(layer.texture[at], face_level(scene, camera, layer)[at], layer.u[at], v)
    lit = np.clip((z - layer.shadow[at]) / 0.5 + 0.5, 0, 1) * layer.sun[at]
    open_sky = (0.7 + 0.3 * np.clip(z / 4, 0, 1)) * layer.tone[at]
    light = array3(scene.light.ambient) * open_sky[:, None] + array3(scene.light.sun) * lit[:, None]
    colour = texel[:, :3] * (light + texel[:, 4:] * LAMP)
    alpha, depth = texel[:, 3:4], layer.near[at][:, None]
    picture[rows, at] = picture[rows, at] * (1 - alpha) + fogged(colour, scene, depth, alpha)


def face_level(scene: Scene, camera: Camera, layer: Layer) -> np.ndarray:
    """Return the mip level per column [columns], by the texels that a pixel covers at its depth."""
    tall = np.maximum(layer.top - layer.bottom, 0.01)
    texels = scene.atlas.height(layer.texture) / tall * np.minimum(layer.near, 999) / camera.focal
    return mip_level(texels * 0.9)


def develop(light: np.ndarray, scene: Scene) -> np.ndarray:
    """Return 8 bits from linear light, with the exposure and tint of the camera of the year."""
    light = light * (array3(scene.light.tint) * np.float32(scene.light.exposure))
    toned = light * (1 + light / 6) / (1 + light * 0.55)
    picture: np.ndarray = np.clip(np.sqrt(np.maximum(toned, 0)) * 255 + 0.5, 0, 255).astype(np.uint8)
    return picture
