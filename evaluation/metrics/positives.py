"""Which database images show the place of a query: those within a threshold in metres, or in frames, in float64.

The rule: a database image is a positive when its distance to the query, computed in float64, is at most the threshold
(an image right at the border is one), and the two share a frame. A frame is a UTM zone and hemisphere: coordinates of
two zones do not compare, so images whose zones, or whose hemispheres, are both known and differ are never positives
of each other. What is unknown matches any. float32 holds a northing to half a metre only.

Where a test set is a ride filmed several times, as Nordland is, the distance is that of the images' numbers in their
videos, which the names give as `pano_id`; all images are then in one frame of reference.
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
POSITION_COLUMNS = ["utm_east", "utm_north", "utm_zone", "utm_band", "latitude"]


@dataclass(frozen=True, eq=False)
class Positions:
    """Where images were taken. Zero stands for an unknown zone and an unknown hemisphere."""

    metres: npt.NDArray[np.float64]  # [n, 2]: UTM east, UTM north; 0 and the number in the video, where that counts
    zones: npt.NDArray[np.int8]  # [n]: 1 to 60
    hemispheres: npt.NDArray[np.int8]  # [n]: 1 is north, -1 is south

    @classmethod
    def from_manifest(cls, manifest: pl.DataFrame, unit: str = METRES) -> Self:
        """Take the positions from a manifest's rows, of which `POSITION_COLUMNS` are needed, and `pano_id` for frames.

        Raises:
            UserError: A coordinate is not a finite number, or a pano_id not a whole one.
        """
        if unit == FRAMES:
            return cls._from_frames(manifest)
        metres = manifest.select(pl.col("utm_east", "utm_north").cast(pl.Float64)).to_numpy()
        not_finite = np.flatnonzero(~np.isfinite(metres).all(axis=1))
        if len(not_finite):
            row = int(not_finite[0])
            east, north = metres[row]
            raise UserError(f"row {row} of the manifest has utm_east {east}, utm_north {north}: not finite numbers")
        zones = manifest["utm_zone"].cast(pl.Int8).fill_null(0).to_numpy()
        signs = hemisphere().replace_strict({"N": 1, "S": -1}, default=0, return_dtype=pl.Int8)
        return cls(metres, zones, manifest.select(signs)["hemisphere"].to_numpy())

    @classmethod
    def _from_frames(cls, manifest: pl.DataFrame) -> Self:
        numbers = manifest["pano_id"].cast(pl.Int64, strict=False)
        if numbers.null_count():
            row = int(numbers.is_null().arg_max() or 0)
            raise UserError(
                f"{manifest['path'][row]}: its pano_id is {manifest['pano_id'][row]}, no number of a frame: "
                "count in metres, with --positive-dist-unit metres"
            )
        anywhere = np.zeros(len(manifest), dtype=np.int8)
        places = np.stack([np.zeros(len(manifest)), numbers.to_numpy().astype(np.float64)], axis=1)
        return cls(places, anywhere, anywhere)


def distances_m(
    queries: Positions, query_rows: Rows, database: Positions, database_rows: Rows
) -> npt.NDArray[np.float64]:
    """Return the distances, in metres or frames, between rows of two sides, infinite where they share no frame.

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


def find_positives(database: Positions, queries: Positions, threshold_m: float) -> list[npt.NDArray[np.int64]]:
    """Return, for each query, the database rows of its positives in rising order."""
    tree = cKDTree(database.metres)
    # The tree compares squares, which round otherwise than the rule: it looks a little wider, and the rule decides.
    near = tree.query_ball_point(queries.metres, threshold_m * (1 + 1e-9) + 1e-6, return_sorted=True)
    positives = []
    for query, candidates in enumerate(near):
        rows = np.array(candidates, dtype=np.int64)
        positives.append(rows[distances_m(queries, query, database, rows) <= threshold_m])
    return positives
