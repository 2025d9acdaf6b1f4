"""One picture of the city for a README: the same places, side by side, over the years."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from cosplace.demo.city.dataset import Year, camera_of, scene_of_year
from cosplace.demo.city.layout import make_plan
from cosplace.demo.city.settings import CityError, CitySettings
from cosplace.demo.city.shading import render

SHEET_YEARS = ((2009, 0), (2011, 2), (2014, 1), (2017, 6), (2020, 4))  # year, mood
SHEET_VIEWS = ((20, 30), (25, 30), (32, 45), (8, 60))  # place, heading
GAP = 6


def write_contact_sheet(path: Path, settings: CitySettings, view_size: int = 184) -> None:
    """Write a row per view and a column per year as `.png` (256 colours), `.jpg` or `.webp`.

    Raises CityError for another suffix.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise CityError(f"{path}: choose a name that ends in .png, .jpg or .webp")
    sheet = Image.fromarray(contact_sheet(settings, view_size))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".png":
        sheet.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    else:
        sheet.save(path, quality=88)


def contact_sheet(settings: CitySettings, view_size: int) -> np.ndarray:
    """Return views of `view_size` pixels on white: [height, width, 3] uint8."""
    plan = make_plan(settings)
    columns = []
    for number, mood in SHEET_YEARS:
        year = Year(number, "", mood, 0.6)
        scene = scene_of_year(plan, settings, year, view_size)
        views = []
        for place, heading in SHEET_VIEWS:
            camera = camera_of(plan, settings, year, place % len(plan.places))
            camera = replace(camera, headings=(heading,), width=view_size, height=view_size)
            views.append(
                np.pad(render(scene, camera, supersample=3)[0], ((0, GAP), (0, GAP), (0, 0)), constant_values=255)
            )
        columns.append(np.concatenate(views, axis=0))
    sheet: np.ndarray = np.concatenate(columns, axis=1)[:-GAP, :-GAP]
    return sheet
