"""Localize photos: find the database images that look most like each, and how far apart these are."""

import contextlib
import dataclasses
import io
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import utm
from torch import Tensor

from data_manifest.errors import StoreError, UserError
from data_manifest.hemisphere import hemisphere
from data_manifest.images.file_states import STATE, changed_images
from data_manifest.images.image_store import read_file
from data_manifest.images.images_folder import is_missing
from data_manifest.images.open_picture import open_picture
from data_manifest.tables import read_table
from evaluation.descriptors.build_descriptors import FILES, open_descriptors
from evaluation.descriptors.extract import embed
from evaluation.descriptors.fuse_conv_bn import fuse_conv_bn
from evaluation.descriptors.image_dataset import to_tensor
from evaluation.descriptors.open_image import open_image, resize, size_rule_of
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.localization.calibration import Calibration, Certainty
from evaluation.localization.find_database import Database
from evaluation.localization.find_photos import no_photo
from evaluation.metrics.certainty import CALIBRATED, RANKS, certainties
from evaluation.metrics.positives import Positions, distances_m
from evaluation.search.build_index import open_index, search_index
from evaluation.search.exact_search import Float32s, Rows, search
from evaluation.search.find_matches import cosine_similarities
from training.network.device import resolve_device
from training.network.preprocessing import preprocessing_of


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


COMPUTED = ("rank", "score", "changed", "distance_m")
FROM_MANIFEST = [field.name for field in dataclasses.fields(Match) if field.name not in COMPUTED]
MAX_CHECKED = 100  # database images checked for an unchanged one, whose size photos are reduced to
logger = logging.getLogger(__name__)


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


class Localizer:
    """Localizes photos in a database; model and database are loaded once."""

    def __init__(self, model: TrainedModel, database: Database) -> None:
        self._device = resolve_device(database.extraction.device)
        self._network = fuse_conv_bn(model.network.eval(), self._device)
        self.database, self._table = database, database.images.read()
        self._descriptors = open_descriptors(database.descriptors)
        self._positions = Positions.from_manifest(self._table)
        self._index = open_index(database.index) if database.index else None
        self._calibration = Calibration.read(database.evaluation) if database.evaluation else None
        if self._calibration:
            self._places = Positions.from_manifest(self._table, self._calibration.threshold.unit)
        states = read_table(database.descriptors, FILES, list(STATE[1:]))
        self._states = states.insert_column(0, self._table["path"])
        self._shorter_side = database.extraction.resized_to or self._side_of_database()

    def localize(self, photos: Iterable[Path], top: int = 5, min_certainty: float | None = None) -> list[Located]:
        """Return the `top` best matches of each photo, or the error of opening it, in the order of the photos.

        Photos whose certainty, 0 to 1, is below `min_certainty` get no matches.

        Raises:
            UserError: `top` is less than 1, or a certainty is asked for that is not calibrated.
        """
        if top < 1:
            raise UserError(f"top = {top}: must be at least 1")
        if min_certainty is not None and self._calibration is None:
            raise UserError(f"--min-certainty {min_certainty:g}: {self.database.uncalibrated}")
        located = [_refuse(self._localize(photo, top), min_certainty) for photo in photos]
        shown = {match.path: match.changed for photo in located for match in photo.matches}
        if changed := sum(shown.values()):
            text = "%d of %d database images shown have changed since they were embedded. Run EvaluateCosPlace again"
            logger.warning(text, changed, len(shown))
        return located

    def _localize(self, photo: Path, top: int) -> Located:
        if not photo.is_file():
            return Located(str(photo), error=no_photo(photo))
        try:
            pixels = self._read(photo)
        except UserError as error:
            return Located(str(photo), error=str(error))
        query = embed(self._network, pixels[None], self._device, self.database.extraction.precision)
        k = max(top, RANKS)
        if self._index is None:
            rows = search(self._descriptors, query, k)[1]
        else:
            rows = search_index(self._index, self._descriptors, query, k)[1]
        scores = cosine_similarities(query, self._descriptors, rows)
        certainty, rows, scores = self._certainty_of(rows, scores), rows[:, :top], scores[0, :top]
        images = self._table[rows[0]].select(*FROM_MANIFEST, "utm_zone", hemisphere()).to_dicts()
        changed = self._changed_among(rows[0])
        apart = distances_m(self._positions, rows[0][:, None], self._positions, rows)
        matches = [
            Match(
                rank + 1,
                float(scores[rank]),
                **_with_latitude(**image),
                changed=image["path"] in changed,
                distance_m=_finite(apart[0, rank]),
            )
            for rank, image in enumerate(images)
        ]
        return Located(str(photo), tuple(matches), _finite(apart.max()), certainty)

    def _certainty_of(self, rows: Rows, scores: Float32s) -> Certainty | None:
        """Return the certainty of a photo with these matches [1, k]; None if it is not calibrated."""
        if self._calibration is None:
            return None
        found = certainties(rows, scores, self._places, self._calibration.threshold.value)
        return self._calibration.certainty_of(float(found[CALIBRATED][0]))

    def _changed_among(self, rows: Rows) -> list[str]:
        """Return the paths of database images that changed after they were embedded; missing files do not count."""
        folder = self.database.images.images_folder
        if is_missing(folder):
            return []
        try:
            changed = changed_images(self._states[rows], folder, skip_errors=True)
        except StoreError:  # descriptors suffice
            return []
        return changed.filter(pl.col("bytes").is_not_null())["path"].to_list()

    def _side_of_database(self) -> int:
        """Return the shorter side in pixels of the first database image that has not changed."""
        first = self._table["path"].head(MAX_CHECKED)
        changed = first.is_in(self._changed_among(np.arange(len(first))))
        path = self.database.images.images_folder / str(first[0] if changed.all() else first.filter(~changed)[0])
        try:
            with open_picture(io.BytesIO(read_file(path))) as image:
                return min(image.size)
        except OSError as error:
            raise UserError(f"{path} cannot be opened ({error}). Check whether the database's images moved") from error

    def _read(self, photo: Path) -> Tensor:
        """Return a photo at the scale of the database images: a phone's has many times their pixels."""
        preprocessing, rule = preprocessing_of(self._network), size_rule_of(self._network)
        image = open_image(photo, preprocessing.mode, min_side=self._shorter_side)
        is_larger = rule.exact is None and min(image.size) > self._shorter_side
        shorter_side = self._shorter_side if is_larger else self.database.extraction.resized_to
        return to_tensor(resize(image, shorter_side, preprocessing.interpolation, rule))


def _refuse(photo: Located, min_certainty: float | None) -> Located:
    """Return a photo without its matches if it is not certain enough."""
    if min_certainty is None or photo.certainty is None:
        return photo
    if photo.certainty.percent / 100 >= min_certainty:  # 100 * 0.56 is more than 56
        return photo
    return Located(
        photo.photo, certainty=photo.certainty, refused=f"not certain enough ({photo.certainty.percent:.3g} %)"
    )


def _finite(distance: float) -> float | None:
    return float(distance) if np.isfinite(distance) else None


def _with_latitude(utm_zone: int | None, hemisphere: str | None, **facts: Any) -> dict[str, Any]:
    """Add latitude and longitude to an image whose name has only UTM coordinates."""
    if facts["latitude"] is None and utm_zone is not None and hemisphere is not None:
        with contextlib.suppress(ValueError):  # coordinates outside of UTM
            place = utm.to_latlon(facts["utm_east"], facts["utm_north"], utm_zone, northern=hemisphere == "N")
            facts["latitude"], facts["longitude"] = map(float, place)
    return facts
