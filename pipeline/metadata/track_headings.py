"""Headings estimated from the way that a camera went: for photos of a sequence that looks along it.

The heading of a photo is the direction from the place before it to the place after it in the same sequence, by time.
Places nearer than `LEAST_M` are passed over: between them GPS noise would decide. A sequence is cut where the camera
stopped or jumped. So it is an estimate, and marked as one.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data_manifest.hemisphere import hemisphere
from pipeline.metadata.fields import FULL_TURN, heading_in_range

LEAST_M = 5.0  # between the places that give a direction
JUMP_M = 100.0  # between two photos: farther, and the way between them is not known
JUMP_S = 120.0  # likewise
Floats = npt.NDArray[np.float64]


def fill_headings(images: pl.DataFrame, camera_turn: float) -> pl.DataFrame:
    """Return manifest rows with the headings that are missing estimated, and `heading_source` track where they are.

    Args:
        images: Rows with `sequence`, which images with one text were taken in one go.
        camera_turn: Degrees that the camera is turned to the right of the way.
    """
    known = images.with_row_index("row").filter(
        pl.col("reject").is_null() & pl.col("timestamp").is_not_null() & pl.col("utm_east").is_not_null()
    )
    seconds = pl.col("timestamp").str.to_datetime("%Y%m%d_%H%M%S", strict=False).dt.epoch("s")
    known = known.with_columns(hemisphere(), seconds=seconds).drop_nulls("seconds")
    known = known.sort("sequence", "utm_zone", "hemisphere", "timestamp", "path")
    headings = np.full(len(images), np.nan)
    if len(known):
        frames = known.select(pl.struct("sequence", "utm_zone", "hemisphere").rle_id()).to_series().to_numpy()
        east, north, seconds_of = (known[name].to_numpy() for name in ("utm_east", "utm_north", "seconds"))
        directions = _directions(east, north, seconds_of, frames)
        headings[known["row"].to_numpy()] = directions + _convergence(known) + camera_turn
    turned = pl.DataFrame({"heading": pl.Series(headings % FULL_TURN).fill_nan(None)})
    estimate = turned.select(heading_in_range(pl.col("heading")))
    is_filled = pl.col("heading").is_null() & pl.col("estimate").is_not_null()
    return (
        images.with_columns(estimate["heading"].alias("estimate"))
        .with_columns(
            pl.when(is_filled).then("estimate").otherwise("heading").alias("heading"),
            pl.when(is_filled).then(pl.lit("track")).otherwise("heading_source").alias("heading_source"),
            pl.when(is_filled).then(pl.lit("true")).otherwise("heading_reference").alias("heading_reference"),
        )
        .drop("estimate")
    )


def _directions(
    east: Floats, north: Floats, seconds: npt.NDArray[np.int64], frames: npt.NDArray[np.integer[Any]]
) -> Floats:
    """Return the direction of the way at each place, degrees clockwise from the grid's north; nan where it has none."""
    steps = np.hypot(np.diff(east), np.diff(north))
    cuts = (np.diff(frames) != 0) | (steps > JUMP_M) | (np.diff(seconds) > JUMP_S)
    legs = np.concatenate(([0], np.cumsum(cuts)))
    after = _far_enough(east, north, legs)
    before = len(east) - 1 - _far_enough(east[::-1], north[::-1], -legs[::-1])[::-1]
    go_east, go_north = east[after] - east[before], north[after] - north[before]
    return np.where(np.hypot(go_east, go_north) >= LEAST_M, np.degrees(np.arctan2(go_east, go_north)), np.nan)


def _far_enough(east: Floats, north: Floats, legs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return for each place the first one after it on its leg that is far enough away, or itself."""
    found = np.arange(len(east))
    pending = found.copy()
    for step in range(1, len(east)):
        pending = pending[pending + step < len(east)]
        pending = pending[legs[pending + step] == legs[pending]]
        if not len(pending):
            break
        far = np.hypot(east[pending + step] - east[pending], north[pending + step] - north[pending]) >= LEAST_M
        found[pending[far]] = pending[far] + step
        pending = pending[~far]
    return found


def _convergence(images: pl.DataFrame) -> Floats:
    """Return how many degrees the grid's north is clockwise of the true one, 0 where the latitude is not known."""
    latitude, longitude = (images[name].to_numpy().astype(np.float64) for name in ("latitude", "longitude"))
    central = images["utm_zone"].cast(pl.Float64).to_numpy() * 6.0 - 183.0
    degrees = np.degrees(np.arctan(np.tan(np.radians(longitude - central)) * np.sin(np.radians(latitude))))
    known: Floats = np.nan_to_num(degrees)
    return known
