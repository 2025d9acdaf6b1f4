"""The database that photos are looked up in: what an evaluation used, described by the model that is asked."""

import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from PIL import Image

from data_manifest.errors import UserError
from data_manifest.images.heif import HEIF_SUFFIXES
from data_manifest.images.hidden import is_hidden, is_system_folder
from data_manifest.images.open_picture import open_picture
from data_manifest.store.find import find_artifact, find_by_digest, read_recipe_of
from data_manifest.store.recipe import read_recipe
from data_manifest.store.references import MANIFEST_STAGES
from evaluation.descriptors.build_descriptors import IMAGES_FOLDER, build_descriptors
from evaluation.descriptors.extract import Extraction
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.recipe import ImageDigests, descriptors_recipe, files_of
from evaluation.search.build_index import build_index
from evaluation.settings import EXACT, EvaluationSettings, RetrievalSettings
from training.network.device import resolve_device


@dataclass(frozen=True)
class Database:
    """Described images to look in.

    Args:
        images: Their manifest, and where they lie.
        descriptors: The folder of their descriptors.
        resized_to: Pixels that the shorter side of each was resized to; None if each kept its own size.
        precision: The numbers that they were described with.
        index: The folder of an index over the descriptors; None for exact search.
    """

    images: ImageList
    descriptors: Path
    resized_to: int | None
    precision: str
    index: Path | None = None

    def largest_side(self, table: pl.DataFrame) -> int:
        """Return the shorter side of a table's first image, in pixels, to which larger photos are reduced."""
        path = self.images.images_folder / str(table["path"][0])
        try:
            with open_picture(path) as image:
                return min(image.size)
        except OSError as error:
            raise UserError(f"{path} cannot be opened: are the database's images elsewhere now? ({error})") from error


def find_database(
    path: Path,
    model: TrainedModel,
    index: str = EXACT,
    *,
    batch_size: int = EvaluationSettings.infer_batch_size,
    device: str = "auto",
    num_workers: int = 8,
) -> Database:
    """Return the database that an evaluation, or published descriptors, looked in, as the model describes it.

    Uses the model's descriptors of the images as they were then, or else embeds the images as they are now.

    Args:
        path: The folder of either artifact, or the one above it.
        model: The model.
        index: exact, ivfpq or hnsw.
        batch_size: Images at a time, where they are still to be described.
        device: Where the network runs then.
        num_workers: Processes that load images then.

    Raises:
        UserError: There is no such artifact, or the images' manifest is gone.
    """
    RetrievalSettings(index=index)  # refuses another word
    folder = find_artifact(path)
    recipe = read_recipe_of(folder, "localize", ("evaluation", "descriptors"))
    artifacts, inputs, settings, summary = folder.parents[2], recipe["inputs"], recipe["settings"], recipe["summary"]
    if recipe["stage"] == "evaluation":
        of_manifest, of_files, of_folder = "database", files_of("database"), "database_folder"
    else:
        of_manifest, of_files, of_folder = "images", "files", IMAGES_FOLDER
    digest, images_folder = inputs[of_manifest], summary.get(of_folder)
    manifest = find_by_digest(artifacts, digest, *MANIFEST_STAGES)
    if manifest is None or images_folder is None:
        raise UserError(f"{folder}: the manifest of its database is no longer there; run EvaluateCosPlace again")
    precision = settings.get("infer_precision", settings.get("precision"))
    images = ImageList(manifest, Path(images_folder))
    side = settings["resized_to"]
    as_then = ImageDigests(digest, inputs.get(of_files, ""))  # older artifacts have none: their images are embedded now
    made_then = descriptors_recipe(read_recipe(manifest)["name"], model.facts, as_then, side, precision)
    descriptors = find_by_digest(artifacts, made_then.digest, made_then.stage)
    if descriptors is None:
        how = Extraction(batch_size, resolve_device(device), num_workers, precision)
        descriptors = build_descriptors(model, images, artifacts, how, resized_to=side)
    index_folder = None if index == EXACT else build_index(descriptors, index, artifacts)
    return Database(images, descriptors, side, precision, index_folder)


def photos_in(paths: list[Path]) -> list[Path]:
    """Return photos: of a folder, all images in it and below, by name; of a file, itself.

    A path without a photo is returned as it is, so that it does not stop the others.

    Raises:
        UserError: None of the paths has a photo.
    """
    found = [(path, _photos(path)) for path in paths]
    if not any(photos for _, photos in found):
        raise UserError(why_no_photo(paths[0]))
    return [photo for path, photos in found for photo in photos or [path]]


def why_no_photo(path: Path) -> str:
    """Return why a path has no photo."""
    return f"{path}: no image in this folder" if path.is_dir() else f"{path}: no such file or folder"


def _photos(path: Path) -> list[Path]:
    """Return the photos of a path, HEIC included even if it cannot be read, without hidden files and system folders."""
    if not path.is_dir():
        return [path] if path.exists() else []
    readable, photos = {*Image.registered_extensions(), *HEIF_SUFFIXES}, []
    for parent, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not is_system_folder(os.fsencode(name))]
        listed = (name for name in names if not is_hidden(os.fsencode(name)))
        photos += [Path(parent, name) for name in listed if Path(name).suffix.lower() in readable]
    return sorted(photos)
