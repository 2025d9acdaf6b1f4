"""A localized photo: its best matches and how certain they are."""

import dataclasses

from evaluation.localization.calibration import Certainty


@dataclasses.dataclass(frozen=True)
class Match:
    """A database image that looks like a photo; None for what is unknown."""

    rank: int
    score: float  # cosine similarity
    latitude: float | None
    longitude: float | None
    utm_east: float
    utm_north: float
    heading: float | None
    year: int | None
    path: str
    changed: bool = False  # the image file changed after it was embedded
    distance_m: float | None = None  # from the best match; None in another UTM zone
    row: int | None = None  # in the database's manifest and descriptors


@dataclasses.dataclass(frozen=True)
class Located:
    """A photo and its best matches, or the error of opening it.

    `spread_m` is the largest distance between two of the matches; small values suggest that they are correct. None if
    they are in different UTM zones. `certainty` is None without an evaluation to calibrate it on. A photo that is
    `refused`, as it is not certain enough, has no matches.
    """

    photo: str
    matches: tuple[Match, ...] = ()
    spread_m: float | None = None
    certainty: Certainty | None = None
    refused: str | None = None
    error: str | None = None


def refuse(photo: Located, min_certainty: float | None) -> Located:
    """Return a photo without its matches if it is not certain enough."""
    if min_certainty is None or photo.certainty is None:
        return photo
    if photo.certainty.percent / 100 >= min_certainty:  # 100 * 0.56 is more than 56
        return photo
    return Located(
        photo.photo, certainty=photo.certainty, refused=f"not certain enough ({photo.certainty.percent:.3g} %)"
    )
