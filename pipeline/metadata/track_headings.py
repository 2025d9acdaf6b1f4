"""Estimate headings from the track of a camera that faces along its way.

A photo's heading is the direction from the place before it to the place after it in its sequence, by time. Places
nearer than `MIN_STEP_M` are skipped, because GPS noise would decide their direction. A sequence is cut where the camera
stopped or jumped.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from data_manifest.hemisphere import hemisphere
from pipeline.metadata.fields import FULL_TURN, heading_in_range

MIN_STEP_M = 5.0
MAX_STEP_M = 100.0  # between two photos of one leg
MAX_STEP_S = 120.0
Floats = npt.NDArray[np.float64]


def fill_headings(images: pl.DataFrame, camera_turn: float) -> pl.DataFrame:
    """Return rows with missing headings estimated; `heading_source` is then track.

    Args:
        images: Rows with `sequence`, the same text for images that were taken in one go.
        camera_turn: Degrees from the direction of travel to the camera, clockwise.
    """
    usable = images.with_row_index("row").filter(
        pl.col("reject").is_null() & pl.col("timestamp").is_not_null() & pl.col("utm_east").is_not_null()
    )
    seconds = pl.col("timestamp").str.to_datetime("%Y%m%d_%H%M%S", strict=False).dt.epoch("s")
    track = usable.with_columns(hemisphere(), seconds=seconds).drop_nulls("seconds")
    track = track.sort("sequence", "utm_zone", "hemisphere", "timestamp", "path")
    headings = np.full(len(images), np.nan)
    if len(track):
        headings[track["row"].to_numpy()] = _directions(track) + _convergence(track) + camera_turn
    turned = pl.DataFrame({"heading": pl.Series(headings % FULL_TURN).fill_nan(None)})
    estimates = turned.select(heading_in_range(pl.col("heading"))).to_series()
    is_filled = images["heading"].is_null() & estimates.is_not_null()
    return images.with_columns(
        images["heading"].fill_null(estimates),
        heading_source=pl.when(is_filled).then(pl.lit("track")).otherwise("heading_source"),
        heading_reference=pl.when(is_filled).then(pl.lit("true")).otherwise("heading_reference"),
    )


def _directions(track: pl.DataFrame) -> Floats:
    """Return the direction of travel, degrees clockwise from grid north, or nan."""
    frames = track.select(pl.struct("sequence", "utm_zone", "hemisphere").rle_id()).to_series().to_numpy()
    east, north, seconds = (track[name].to_numpy() for name in ("utm_east", "utm_north", "seconds"))
    steps = np.hypot(np.diff(east), np.diff(north))
    cuts = (np.diff(frames) != 0) | (steps > MAX_STEP_M) | (np.diff(seconds) > MAX_STEP_S)
    legs = np.concatenate(([0], np.cumsum(cuts)))
    after = _next_far_enough(east, north, legs)
    before = len(east) - 1 - _next_far_enough(east[::-1], north[::-1], -legs[::-1])[::-1]
    go_east, go_north = east[after] - east[before], north[after] - north[before]
    return np.where(np.hypot(go_east, go_north) >= MIN_STEP_M, np.degrees(np.arctan2(go_east, go_north)), np.nan)


def _next_far_enough(east: Floats, north: Floats, legs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the index of the next place that is far enough on the leg, or its own."""
    following = np.arange(len(east))
    pending = following.copy()
    for step in range(1, len(east)):
        pending = pending[pending + step < len(east)]
        pending = pending[legs[pending + step] == legs[pending]]
        if not len(pending):
            break
        far = np.hypot(east[pending + step] - east[pending], north[pending + step] - north[pending]) >= MIN_STEP_M
        following[pending[far]] = pending[far] + step
        pending = pending[~far]
    return following


def _convergence(images: pl.DataFrame) -> Floats:
    """Return the degrees from true to grid north, clockwise; 0 without a latitude."""
    latitude, longitude = (images[name].to_numpy().astype(np.float64) for name in ("latitude", "longitude"))
    central = images["utm_zone"].cast(pl.Float64).to_numpy() * 6.0 - 183.0
    degrees = np.degrees(np.arctan(np.tan(np.radians(longitude - central)) * np.sin(np.radians(latitude))))
    return np.asarray(np.nan_to_num(degrees), np.float64)
