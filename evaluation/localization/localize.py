"""Localize photos: find the database images that look most like each, and how far apart these are."""

import dataclasses
import functools
import io
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from PIL import Image
from torch import Tensor, nn

from data_manifest.errors import StoreError, UserError
from data_manifest.images.file_states import STATE, changed_images
from data_manifest.images.image_store import read_file
from data_manifest.images.images_folder import ImagesFolder, is_missing
from data_manifest.images.open_picture import open_picture
from data_manifest.tables import read_table
from evaluation.descriptors.build_descriptors import FILES, open_descriptors
from evaluation.descriptors.extract import embed
from evaluation.descriptors.fuse_conv_bn import fuse_conv_bn
from evaluation.descriptors.image_dataset import to_tensor
from evaluation.descriptors.open_image import open_image, resize, size_rule_of
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.localization.calibration import Calibration, Certainty
from evaluation.localization.degrees import with_degrees
from evaluation.localization.find_database import Database
from evaluation.localization.find_photos import no_photo
from evaluation.localization.located import Located, Match, refuse
from evaluation.metrics.certainty import CALIBRATED, RANKS, certainties
from evaluation.metrics.positives import Positions, distances_m
from evaluation.search.build_index import open_index, search_index
from evaluation.search.exact_search import Float32s, Rows, search
from evaluation.search.find_matches import cosine_similarities
from evaluation.settings import METRES
from training.network.device import resolve_device
from training.network.preprocessing import preprocessing_of

COMPUTED = ("rank", "score", "changed", "distance_m", "row")
FROM_MANIFEST = [field.name for field in dataclasses.fields(Match) if field.name not in COMPUTED]
MAX_CHECKED = 100  # database images checked for an unchanged one, whose size photos are reduced to
logger = logging.getLogger(__name__)


class Localizer:
    """Localizes photos in a database; model and database are loaded once.

    Args:
        model: The model.
        database: The database.
        sharing: A localizer of the same model on the same device, whose network is used.
    """

    def __init__(self, model: TrainedModel, database: Database, sharing: "Localizer | None" = None) -> None:
        self.model, self._device = model, resolve_device(database.extraction.device)
        self._network: nn.Module
        self._network = sharing._network if sharing else fuse_conv_bn(model.network.eval(), self._device)
        self.database, self.images = database, database.images.read()  # a row per database image
        self._descriptors = open_descriptors(database.descriptors)
        self._positions = Positions.from_manifest(self.images)
        self._index = open_index(database.index) if database.index else None
        self._calibration = Calibration.read(database.evaluation) if database.evaluation else None
        if self._calibration:
            self._places = Positions.from_manifest(self.images, self._calibration.threshold.unit)
        states = read_table(database.descriptors, FILES, list(STATE[1:]))
        self._states = states.insert_column(0, self.images["path"])
        self._shorter_side = database.extraction.resized_to or self._side_of_database()

    def localize(
        self, photos: Iterable[ImagesFolder], top: int = 5, min_certainty: float | None = None
    ) -> list[Located]:
        """Return the `top` best matches of each photo, or the error of opening it, in the order of the photos.

        Photos whose certainty, 0 to 1, is below `min_certainty` get no matches.

        Raises:
            UserError: `top` is less than 1, or `min_certainty` is given and certainties are not calibrated.
        """
        if top < 1:
            raise UserError(f"top = {top}: must be at least 1")
        if min_certainty is not None and not self.is_calibrated:
            raise UserError(f"--min-certainty {min_certainty:g}: {self.database.uncalibrated}")
        located = [self._localize(photo, top, min_certainty) for photo in photos]
        shown = {match.path: match.changed for photo in located for match in photo.matches}
        if changed := sum(shown.values()):
            text = "%d of %d database images shown have changed since they were embedded. Evaluate or embed again"
            logger.warning(text, changed, len(shown))
        return located

    def _localize(self, photo: ImagesFolder, top: int, min_certainty: float | None) -> Located:
        if isinstance(photo, Path) and not photo.is_file():
            return Located(str(photo), error=no_photo(photo))
        try:
            pixels = self.read(functools.partial(open_image, photo))
        except StoreError:
            raise
        except UserError as error:
            return Located(str(photo), error=str(error))
        rows, scores = self.search([pixels], top)
        return self.locate(str(photo), rows[0], scores[0], top, min_certainty)

    @property
    def dimensions(self) -> int:
        """Values per descriptor."""
        return int(self._descriptors.shape[1])

    @property
    def is_calibrated(self) -> bool:
        """True if photos have a certainty."""
        return self._calibration is not None

    @property
    def radius_m(self) -> float | None:
        """The largest distance of a correct first match in metres; None if uncalibrated, or in frames."""
        threshold = self._calibration and self._calibration.threshold
        return threshold.value if threshold and threshold.unit == METRES else None

    def read(self, open_photo: Callable[[str, int], Image.Image]) -> Tensor:
        """Return a photo at the scale of the database images, uint8 [channels, h, w]; safe to call from threads.

        Args:
            open_photo: Opens it in a mode of Pillow; its shorter side may be reduced to a number of pixels.

        Raises:
            UserError: `open_photo` did.
        """
        preprocessing, rule = preprocessing_of(self._network), size_rule_of(self._network)
        image = open_photo(preprocessing.mode, self._shorter_side)
        is_larger = rule.exact is None and min(image.size) > self._shorter_side  # a phone's has many times the pixels
        shorter_side = self._shorter_side if is_larger else self.database.extraction.resized_to
        return to_tensor(resize(image, shorter_side, preprocessing.interpolation, rule))

    def search(self, photos: Sequence[Tensor], top: int = 1) -> tuple[Rows, Float32s]:
        """Return the database rows most like each photo and their cosine similarities [num_photos, k], best first.

        k is `RANKS`, or `top` if it is larger; fewer in a small database. Photos of one shape are embedded together.
        """
        queries, k = self._embed(photos), max(top, RANKS)
        if self._index is None:
            rows = search(self._descriptors, queries, k)[1]
        else:
            rows = search_index(self._index, self._descriptors, queries, k)[1]
        return rows, cosine_similarities(queries, self._descriptors, rows)

    def _embed(self, photos: Sequence[Tensor]) -> Float32s:
        by_shape: dict[torch.Size, list[int]] = {}
        for number, photo in enumerate(photos):
            by_shape.setdefault(photo.shape, []).append(number)
        groups, precision = list(by_shape.values()), self.database.extraction.precision
        stacks = [torch.stack([photos[number] for number in group]) for group in groups]
        embedded = [embed(self._network, stack, self._device, precision) for stack in stacks]
        return np.concatenate(embedded)[np.argsort(np.concatenate(groups))]

    def locate(
        self, photo: str, rows: Rows, scores: Float32s, top: int = 5, min_certainty: float | None = None
    ) -> Located:
        """Return a photo with the `top` best of its matches, given by `search` as rows and scores [k]."""
        certainty = self._certainty_of(rows[None], scores[None])
        rows, scores = rows[:top], scores[:top]
        images = with_degrees(self.images[rows]).select(*FROM_MANIFEST).to_dicts()
        changed = self._changed_among(rows)
        apart = distances_m(self._positions, rows[:, None], self._positions, rows[None])
        matches = [
            Match(
                rank + 1,
                float(scores[rank]),
                **image,
                changed=image["path"] in changed,
                distance_m=_finite(apart[0, rank]),
                row=int(rows[rank]),
            )
            for rank, image in enumerate(images)
        ]
        return refuse(Located(photo, tuple(matches), _finite(apart.max()), certainty), min_certainty)

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
        first = self.images["path"].head(MAX_CHECKED)
        changed = first.is_in(self._changed_among(np.arange(len(first))))
        path = self.database.images.images_folder / str(first[0] if changed.all() else first.filter(~changed)[0])
        try:
            with open_picture(io.BytesIO(read_file(path))) as image:
                return min(image.size)
        except OSError as error:
            raise UserError(f"{path} cannot be opened ({error}). Check whether the database's images moved") from error


def _finite(distance: float) -> float | None:
    return float(distance) if np.isfinite(distance) else None
