"""Write the city as a data set in SF-XL's folders: train, val and test, each with years of its own."""

import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from cosplace.demo.city.build import build_scene
from cosplace.demo.city.houses import FIRST_YEAR
from cosplace.demo.city.layout import ORIGIN_EAST, ORIGIN_NORTH, Plan, make_plan
from cosplace.demo.city.light import light_of_year
from cosplace.demo.city.names import image_name, latitude_folder, panorama_id
from cosplace.demo.city.raycast import Camera
from cosplace.demo.city.scene import Scene
from cosplace.demo.city.settings import CitySettings
from cosplace.demo.city.shading import render

LOG = logging.getLogger(__name__)
HEADINGS = tuple(range(0, 360, 30))
JPEG_QUALITY = 92


@dataclass(frozen=True)
class Year:
    """What a year is for: its folder, its mood (see light.MOODS), how far its photos lie from the places (metres),
    and how far its first heading may turn from north (degrees)."""

    year: int
    folder: str
    mood: int
    stray_m: float
    turn: int = 3


EVALUATION_YEARS = (
    partial(Year, folder="val/database", mood=3, stray_m=0.5),
    partial(Year, folder="test/database", mood=0, stray_m=0.5),
    partial(Year, folder="val/queries", mood=2, stray_m=1.4, turn=6),
    partial(Year, folder="test/queries_v1", mood=1, stray_m=1.4, turn=6),
    partial(Year, folder="test/queries_v1", mood=6, stray_m=1.4, turn=6),
)


def years(train_years: int) -> list[Year]:
    """Return all years in order; those of the evaluation are spread among those of training."""
    total = train_years + len(EVALUATION_YEARS)
    taken = {(number + 1) * total // 6: make for number, make in enumerate(EVALUATION_YEARS)}
    result, moods = [], 0
    for index in range(total):
        if index in taken:
            result.append(taken[index](FIRST_YEAR + index))
        else:
            result.append(Year(FIRST_YEAR + index, "train", moods, 2.5))
            moods += 1
    return result


def write_city(out: Path, settings: CitySettings, processes: int = 2) -> Counter[str]:
    """Render all views under `out`; returns the number of images of each folder. The files follow from `settings`
    alone, however many processes share the years."""
    counts: Counter[str] = Counter()
    job = partial(write_year, out, settings)
    todo = years(settings.train_years)
    LOG.info("rendering %d years, %d at a time, some seconds each", len(todo), processes)
    if processes == 1:
        results: Iterator[int] = map(job, todo)
        return collect(todo, results, counts)
    with ProcessPoolExecutor(processes) as pool:
        return collect(todo, pool.map(job, todo), counts)


def collect(todo: list[Year], results: Iterator[int], counts: Counter[str]) -> Counter[str]:
    """Count and log the years as they are done."""
    for year, written in zip(todo, results, strict=True):
        counts[year.folder] += written
        LOG.info("%d: %d images for %s", year.year, written, year.folder)
    return counts


def write_year(out: Path, settings: CitySettings, year: Year) -> int:
    """Render the panoramas of one year, and return the number of images."""
    plan = make_plan(settings)
    scene = scene_of_year(plan, settings, year)
    for number in range(len(plan.places)):
        write_panorama(out, settings, year, scene, plan, number)
    return len(plan.places) * len(HEADINGS)


def scene_of_year(plan: Plan, settings: CitySettings, year: Year, size: int | None = None) -> Scene:
    """Return the city in a year, painted finely enough for views of `size` pixels."""
    light = light_of_year(settings.seed, year.mood, year.year)
    return build_scene(plan, settings.seed, year.year, light, texel_scale(size or settings.size))


def texel_scale(size: int) -> float:
    """Return texels per metre of the facades that are enough for views of `size` pixels."""
    return float(np.clip(size / 5, 6, 48))


def camera_of(plan: Plan, settings: CitySettings, year: Year, number: int) -> Camera:
    """Return the camera of a place in a year: near it, with twelve headings turned together."""
    rng = np.random.default_rng([settings.seed, 14, year.year, number])
    angle, reach = rng.uniform(0, 2 * np.pi), year.stray_m * np.sqrt(rng.random())
    turn = int(rng.integers(year.turn + 1))
    place_x, place_y = plan.places[number]
    return Camera(
        # Names hold centimetres, so the camera stands on a whole one.
        x=round(float(place_x + reach * np.cos(angle)), 2),
        y=round(float(place_y + reach * np.sin(angle)), 2),
        headings=tuple(heading + turn for heading in HEADINGS),
        width=settings.size,
        height=settings.size,
    )


def write_panorama(out: Path, settings: CitySettings, year: Year, scene: Scene, plan: Plan, number: int) -> None:
    """Write the twelve views of one place in one year."""
    camera = camera_of(plan, settings, year, number)
    utm_east, utm_north = ORIGIN_EAST + camera.x, ORIGIN_NORTH + camera.y
    folder = out / year.folder
    if year.folder == "train":
        folder /= latitude_folder(utm_east, utm_north)
    folder.mkdir(parents=True, exist_ok=True)
    pano_id = panorama_id(settings.seed, year.year, number)
    timestamp = f"{year.year}{scene.light.month:02d}"
    for heading, view in zip(camera.headings, render(scene, camera), strict=True):
        name = image_name(utm_east, utm_north, int(heading), pano_id, timestamp)
        Image.fromarray(view).save(folder / name, quality=JPEG_QUALITY)
