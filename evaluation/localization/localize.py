"""Where was this photo taken? The database images that look most like it, and how far the best of them lie apart.

    model = find_model(Path("artifacts/training/city-train"))
    localizer = Localizer(model, find_database(Path("artifacts/evaluation/city-test-queries_v1"), model))
    for photo in localizer.localize([Path("photo.jpg")]):
        print(photo.matches[0].latitude, photo.matches[0].longitude, photo.spread_m)

The model and the database are loaded once; a photo then takes a fraction of a second.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import utm
from torch import Tensor

from data_manifest.errors import UserError
from data_manifest.hemisphere import hemisphere
from data_manifest.images.file_states import STATE, changed_images
from data_manifest.tables import read_table
from evaluation.descriptors.build_descriptors import FILES, open_descriptors
from evaluation.descriptors.extract import Extraction, describe_batch
from evaluation.descriptors.fuse_conv_bn import ready_to_describe
from evaluation.descriptors.images import to_tensor
from evaluation.descriptors.open_image import open_image, resize_shorter_side
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.localization.find_database import Database, why_no_photo
from evaluation.metrics.positives import Positions, distances_m
from evaluation.metrics.predictions import cosine_similarities
from evaluation.search.build_index import open_index, search_index
from evaluation.search.exact_search import search
from evaluation.settings import TOP
from training.network.device import resolve_device
from training.network.preprocessing import preprocessing_of


@dataclasses.dataclass(frozen=True)
class Match:
    """A database image that looks like a photo; what neither its name nor its place in metres says is None."""

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


FROM_MANIFEST = [field.name for field in dataclasses.fields(Match) if field.name not in ("rank", "score", "changed")]
TRIED = 100  # database images checked for an unchanged one, whose size is that of the model's input
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Located:
    """A photo and its best matches, or why it could not be opened.

    `spread_m` is the longest way between any two of the matches: some metres are a hint that they are right, kilometres
    that they are not. None where they cannot be compared, as between two UTM zones.
    """

    photo: str
    matches: tuple[Match, ...] = ()
    spread_m: float | None = None
    error: str | None = None


def _with_place(utm_zone: int | None, hemisphere: str | None, **facts: Any) -> dict[str, Any]:
    """Give latitude and longitude to an image whose name has its place in metres alone."""
    if facts["latitude"] is None and utm_zone is not None and hemisphere is not None:
        with contextlib.suppress(ValueError):  # made-up metres, which are nowhere on Earth
            place = utm.to_latlon(facts["utm_east"], facts["utm_north"], utm_zone, northern=hemisphere == "N")
            facts["latitude"], facts["longitude"] = map(float, place)
    return facts


class Localizer:
    """Looks photos up in a database of described images.

    Args:
        model: What describes the photos, as it has described the database.
        database: The images to look in.
        device: Where the network runs; auto is a GPU if there is one.
    """

    def __init__(self, model: TrainedModel, database: Database, device: str = "auto") -> None:
        self._how = Extraction(1, resolve_device(device), precision=database.precision)
        self._network = ready_to_describe(model.network.eval(), self._how.device)
        self.database, self._table = database, database.images.read()
        self._descriptors, self._places = open_descriptors(database.descriptors), Positions.from_manifest(self._table)
        self._index = open_index(database.index) if database.index else None
        states = read_table(database.descriptors, FILES, list(STATE[1:]))
        self._states = states.insert_column(0, self._table["path"])
        first = self._table.head(TRIED)
        unchanged = first.filter(~first["path"].is_in(self._changed_among(np.arange(len(first)))))
        self._side = database.resized_to or database.largest_side(first if unchanged.is_empty() else unchanged)

    def localize(self, photos: Iterable[Path], top: int = TOP) -> list[Located]:
        """Return the `top` best matches of each photo, in order; a photo that cannot be opened has an error instead.

        Raises:
            UserError: No match is asked for.
        """
        if top < 1:
            raise UserError(f"top = {top}: at least 1 match is needed")
        located = [self._localize(photo, top) for photo in photos]
        shown = {match.path: match.changed for photo in located for match in photo.matches}
        if changed := sum(shown.values()):
            text = "%d of %d database images shown have changed since they were embedded. Run EvaluateCosPlace again"
            logger.warning(text, changed, len(shown))
        return located

    def _localize(self, photo: Path, top: int) -> Located:
        if not photo.is_file():
            return Located(str(photo), error=why_no_photo(photo))
        try:
            pixels = self._read(photo)
        except UserError as error:
            return Located(str(photo), error=str(error))
        described = describe_batch(self._network, pixels[None].to(self._how.device), self._how)
        if self._index is None:
            _, rows = search(self._descriptors, described, top)
        else:
            _, rows = search_index(self._index, self._descriptors, described, top)
        scores = cosine_similarities(described, self._descriptors, rows)[0]
        found = self._table[rows[0]].select(*FROM_MANIFEST, "utm_zone", hemisphere()).to_dicts()
        changed = self._changed_among(rows[0])
        matches = [
            Match(rank + 1, float(scores[rank]), **_with_place(**each), changed=each["path"] in changed)
            for rank, each in enumerate(found)
        ]
        return Located(str(photo), tuple(matches), self._spread_m(rows[0]))

    def _changed_among(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """Return the paths of database images that changed after they were embedded; missing files do not count."""
        folder = self.database.images.images_folder
        if not folder.is_dir():
            return []
        changed = changed_images(self._states[rows], folder, skip_errors=True)
        return changed.filter(pl.col("bytes").is_not_null())["path"].to_list()

    def _read(self, photo: Path) -> Tensor:
        """A photo of a phone has many times the pixels of a database image, and would be another scale to the model."""
        mode = preprocessing_of(self._network).mode
        image = open_image(photo, mode, enough=self._side, advice=None)
        if self.database.resized_to is not None or min(image.size) > self._side:
            image = resize_shorter_side(image, self._side)
        return to_tensor(image)

    def _spread_m(self, rows: npt.NDArray[np.int64]) -> float | None:
        longest = float(distances_m(self._places, rows[:, None], self._places, rows[None]).max())
        return longest if np.isfinite(longest) else None
