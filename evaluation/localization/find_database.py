"""Find the database of an evaluation, or of published descriptors, for localizing photos."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.images.images_folder import as_images_folder
from data_manifest.store.find import find_artifact, find_by_digest, read_recipe_of
from data_manifest.store.recipe import read_recipe
from data_manifest.store.references import MANIFEST_STAGES, WITHOUT_POSITIONS
from evaluation.descriptors.build_descriptors import IMAGES_FOLDER, build_descriptors
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.localization.calibration import find_calibration
from evaluation.recipe import ImageDigests, descriptors_recipe, files_key
from evaluation.search.build_index import build_index
from evaluation.settings import EXACT, Extraction, RetrievalSettings

DATABASE_NAME, QUERIES_NAME = "database", "queries"  # of the folders in a test folder; the latter may go on


@dataclass(frozen=True)
class Database:
    """Database images, the folder of their descriptors, and that of an index; None for exact search."""

    images: ImageList
    descriptors: Path
    extraction: Extraction  # of the database and of photos
    index: Path | None = None
    evaluation: Path | None = None  # of the same model, database and search: calibrates the certainty of photos
    uncalibrated: str = ""  # the reason if `evaluation` is None, and the command to run


def find_database(
    path: Path, model: TrainedModel, index: str = EXACT, *, device: str = "auto", num_workers: int = 8
) -> Database:
    """Return the database of a published evaluation, or of published descriptors, with descriptors of a model.

    The model's descriptors of the images as they were then are used if published, else the images are embedded now.

    Raises:
        UserError: There is no such artifact, or the manifest of its images is gone.
    """
    RetrievalSettings(index=index)  # rejects other values
    folder = find_artifact(path)
    recipe = read_recipe_of(folder, "localize", ("evaluation", "descriptors"))
    artifacts, inputs, settings, summary = folder.parents[2], recipe["inputs"], recipe["settings"], recipe["summary"]
    if recipe["stage"] == "evaluation":
        manifest_key, states_key, folder_key = "database", files_key("database"), "database_folder"
    else:
        manifest_key, states_key, folder_key = "images", "files", IMAGES_FOLDER
    manifest = find_by_digest(artifacts, inputs[manifest_key], *MANIFEST_STAGES)
    if manifest is None or folder_key not in summary:
        raise UserError(f"{folder}: the manifest of its database is gone. Evaluate or embed again.")
    if read_recipe(manifest)["settings"].get(WITHOUT_POSITIONS):
        raise UserError(f"{folder}: its database has no positions, so photos cannot be localized in it")
    images = ImageList(manifest, as_images_folder(summary[folder_key]))
    precision = settings.get("infer_precision", settings.get("precision"))
    extraction = Extraction(settings["resized_to"], precision, device=device, num_workers=num_workers)
    digests = ImageDigests(inputs[manifest_key], inputs.get(states_key, ""))  # older artifacts have no states
    published = descriptors_recipe(read_recipe(manifest)["name"], model.digests, digests, extraction)
    descriptors = find_by_digest(artifacts, published.digest, published.stage)
    if descriptors is None:
        descriptors = build_descriptors(model, images, artifacts, extraction)
    index_folder = None if index == EXACT else build_index(descriptors, index, artifacts)
    evaluation = find_calibration(artifacts, model.digests, digests, extraction, index, preferred=folder)
    queries = summary.get("queries_folder")
    uncalibrated = "" if evaluation else _why_uncalibrated(model, images, queries and Path(queries).name, index)
    return Database(images, descriptors, extraction, index_folder, evaluation, uncalibrated)


def _why_uncalibrated(model: TrainedModel, images: ImageList, queries: str | None, index: str) -> str:
    """Return the message that names the command; without a folder of queries, that beside the database."""
    folder, advice = images.images_folder, ""
    test_folder = str(folder.parent)
    listed = folder.parent.glob(f"{QUERIES_NAME}*") if isinstance(folder, Path) else ()
    beside = sorted(each.name for each in listed if each.is_dir())
    queries = queries or next(iter(beside), QUERIES_NAME)
    if folder.name != DATABASE_NAME:
        test_folder = "FOLDER"
        advice = f" FOLDER/database has the images of {folder}, FOLDER/{queries} photos whose positions are known."
    given = str(model.path) if model.digests.method is None else "MODEL"  # a method's path is not its name
    words = ["cosplace", "evaluate", given, "--test-folder", test_folder, "--test-queries", queries]
    words += ["--index", index] if index != EXACT else []
    return (
        "certainty not calibrated: no evaluation of this database and model has certainties. "
        f"Run `{shlex.join(words)}`, and pass its evaluation as --database.{advice}"
    )
