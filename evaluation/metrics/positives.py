"""Positives: the database images within a threshold of a query, in metres or frames, computed in float64.

A database image is a positive if its distance is at most the threshold and its UTM zone and hemisphere agree with the
query's; unknown ones agree with any. Frames are compared by the `pano_id` of images, their number in a video.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.spatial import cKDTree

from data_manifest.errors import UserError
from data_manifest.hemisphere import hemisphere
from evaluation.settings import FRAMES, METRES

Rows = int | npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Positions:
    """Positions of images. Zone and hemisphere are 0 where unknown."""

    metres: npt.NDArray[np.float64]  # [n, 2]: UTM east and north in metres, or 0 and the frame
    zones: npt.NDArray[np.int8]  # [n]: 1 to 60
    hemispheres: npt.NDArray[np.int8]  # [n]: 1 is north, -1 is south

    @classmethod
    def from_manifest(cls, manifest: pl.DataFrame, unit: str = METRES) -> Self:
        """Return the positions of a manifest's rows, from `POSITION_COLUMNS`, or from `pano_id` for frames.

        Raises:
            UserError: A coordinate is not finite, or a pano_id is not a whole number.
        """
        if unit == FRAMES:
            return cls._from_frames(manifest)
        metres = manifest.select(pl.col("utm_east", "utm_north").cast(pl.Float64)).to_numpy()
        not_finite = np.flatnonzero(~np.isfinite(metres).all(axis=1))
        if len(not_finite):
            row = int(not_finite[0])
            east, north = metres[row]
            raise UserError(f"row {row} of the manifest: utm_east {east}, utm_north {north} must be finite numbers")
        zones = manifest["utm_zone"].cast(pl.Int8).fill_null(0).to_numpy()
        signs = hemisphere().replace_strict({"N": 1, "S": -1}, default=0, return_dtype=pl.Int8)
        return cls(metres, zones, manifest.select(signs)["hemisphere"].to_numpy())

    @classmethod
    def _from_frames(cls, manifest: pl.DataFrame) -> Self:
        frames = manifest["pano_id"].cast(pl.Int64, strict=False)
        if frames.null_count():
            row = int(frames.is_null().arg_max() or 0)
            raise UserError(
                f"{manifest['path'][row]}: pano_id {manifest['pano_id'][row]} is not a frame number. "
                "Give --positive-dist-unit metres"
            )
        unknown = np.zeros(len(manifest), np.int8)
        return cls(np.stack([np.zeros(len(manifest)), frames.to_numpy().astype(np.float64)], axis=1), unknown, unknown)


def distances_m(
    queries: Positions, query_rows: Rows, database: Positions, database_rows: Rows
) -> npt.NDArray[np.float64]:
    """Return distances in metres or frames, infinite between different zones or hemispheres.

    The arrays of rows are broadcast against each other, and the result has their common shape.
    """
    difference = queries.metres[query_rows] - database.metres[database_rows]
    same_frame = _agree(queries.zones[query_rows], database.zones[database_rows]) & _agree(
        queries.hemispheres[query_rows], database.hemispheres[database_rows]
    )
    return np.where(same_frame, np.hypot(difference[..., 0], difference[..., 1]), np.inf)


def _agree(left: npt.NDArray[np.int8], right: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    agree: npt.NDArray[np.bool_] = (left == right) | (left == 0) | (right == 0)
    return agree


def find_positives(database: Positions, queries: Positions, threshold: float) -> list[npt.NDArray[np.int64]]:
    """Return the database rows of each query's positives, in rising order."""
    tree = cKDTree(database.metres)
    # The tree rounds squared distances, so it gets a slightly larger radius and the exact rule decides.
    near = tree.query_ball_point(queries.metres, threshold * (1 + 1e-9) + 1e-6, return_sorted=True)
    positives = []
    for query, candidates in enumerate(near):
        rows = np.array(candidates, dtype=np.int64)
        positives.append(rows[distances_m(queries, query, database, rows) <= threshold])
    return positives
