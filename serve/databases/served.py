"""A served database: its localizer, and its facts, map and pictures for the page."""

from dataclasses import dataclass
from typing import Any, Self

import polars as pl

from data_manifest.images.images_folder import ImagesFolder
from data_manifest.progress import working
from data_manifest.store.recipe import digest_of, read_recipe
from evaluation.localization.find_database import Database
from evaluation.localization.localize import Localizer
from evaluation.settings import EXACT
from serve.databases.database_map import DatabaseMap


@dataclass(frozen=True, eq=False)
class Pictures:
    """The images of a database by number. They outlive its replacement, for earlier answers."""

    digest: str  # of the database, in the addresses of the images
    folder: ImagesFolder
    paths: pl.Series

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, number: int) -> ImagesFolder:
        """Return the path or URL of an image."""
        return self.folder / str(self.paths[number])


@dataclass(frozen=True, eq=False)
class Served:
    """A database, by the name in requests."""

    name: str
    localizer: Localizer
    pictures: Pictures
    facts: dict[str, Any]
    map: DatabaseMap
    overview: dict[str, Any]  # the map of all images

    @classmethod
    def of(cls, name: str, model_name: str, localizer: Localizer) -> Self:
        """Return the database of a localizer, with its facts and its map."""
        database, images = localizer.database, localizer.images
        pictures = Pictures(digest_of_database(database), database.images.images_folder, images["path"])
        with working("drawing the map of the database"):
            drawn = DatabaseMap.of(images)
            overview = drawn.squares()
        return cls(name, localizer, pictures, _facts_of(localizer, model_name, drawn), drawn, overview)

    @property
    def digest(self) -> str:
        """The digest of the database, as in `digest_of_database`."""
        return self.pictures.digest


def _facts_of(localizer: Localizer, model_name: str, drawn: DatabaseMap) -> dict[str, Any]:
    """Return facts about the model and the database, as JSON."""
    index = localizer.database.index
    return {
        "model": model_name,
        "dimensions": localizer.dimensions,
        "images": len(localizer.images),
        "index": EXACT if index is None else read_recipe(index)["settings"]["kind"],
        "bounds": drawn.bounds,
        "calibrated": localizer.is_calibrated,
        "radius_m": localizer.radius_m,
    }


def digest_of_database(database: Database) -> str:
    """Return a digest of a database's descriptors (and so of its model), index, calibration and folder of images."""
    folders = (database.descriptors, database.index, database.evaluation)
    return digest_of([*(folder and folder.name for folder in folders), str(database.images.images_folder)])
