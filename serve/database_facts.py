"""Facts about a model and a database."""

from typing import Any

import polars as pl

from data_manifest.store.recipe import read_recipe
from evaluation.localization.localize import Localizer
from evaluation.settings import EXACT


def facts_of(localizer: Localizer, model_name: str) -> dict[str, Any]:
    """Return the model and the database, in numbers and degrees."""
    index = localizer.database.index
    return {
        "model": model_name,
        "dimensions": localizer.dimensions,
        "images": len(localizer.images),
        "index": EXACT if index is None else read_recipe(index)["settings"]["kind"],
        "bounds": bounds_of(localizer.images),
        "calibrated": localizer.is_calibrated,
        "radius_m": localizer.radius_m,
    }


def bounds_of(images: pl.DataFrame) -> list[float] | None:
    """Return west, south, east and north in degrees; None if no image has latitude and longitude."""
    columns = [pl.col(name) for name in ("longitude", "latitude")]
    low, high = (columns[0].min(), columns[1].min()), [column.max().name.suffix("_max") for column in columns]
    bounds = list(images.select(*low, *high).row(0))
    return None if None in bounds else bounds
