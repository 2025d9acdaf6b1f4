"""Export a trained model, and publish it as an artifact."""

import hashlib
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_manifest.errors import UserError
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, is_published, read_recipe
from evaluation.descriptors.trained_model import TrainedModel
from export.settings import HF, ONNX, SAFETENSORS, ExportSettings
from training.network.settings import MODEL_FILE, ONNX_FILE, SAFETENSORS_FILE

if TYPE_CHECKING:
    from training.network.model import GeoLocalizationNet

STAGE, VERSION = "export", 1  # raise VERSION when equal models give other files
IMAGES_FOLDER = "images_folder"  # in a training's summary
LICENCE = "The weights derive from the training images and the initial weights: check the licences of both."
logger = logging.getLogger(__name__)


def export_recipe(model: TrainedModel, artifacts: Path, settings: ExportSettings) -> Recipe:
    """Return the recipe of an export; its name is that of the model's data set, or of its file."""
    from export.hf_folder import evaluations_of  # late: torch takes seconds to import

    published = is_published(model.path.parent)
    name = str(read_recipe(model.path.parent)["name"]) if published else model.path.stem
    more = {"onnx_input": settings.onnx_input} if settings.format == ONNX else {}
    evaluations = evaluations_of(model, artifacts) if settings.format == HF else []
    inputs = {"evaluations": [each.name for each in evaluations]} if evaluations else {}
    return model.digests.recipe(STAGE, name, VERSION, {"format": settings.format, **more}, inputs)


def export_model(model: TrainedModel, artifacts: Path, settings: ExportSettings) -> Path:
    """Write a model in another format, and return the published folder.

    An ONNX file is compared with torch on photos, and is published only if the descriptors agree.

    Raises:
        UserError: The model cannot be read, there are no photos to check it on, or the descriptors differ.
    """
    recipe = export_recipe(model, artifacts, settings)
    if published := find_published(artifacts, recipe):
        return published
    summary: dict[str, Any] = {}
    with publishing(artifacts, recipe, summary) as staging:
        more = _write(model, artifacts, staging, settings)
        summary["made"] = f"{settings.format} of {model.backbone}-{model.fc_output_dim}{more}"
    return recipe.folder(artifacts)


def _write(model: TrainedModel, artifacts: Path, folder: Path, settings: ExportSettings) -> str:
    """Write the files of a format, and return what else is to be said about them."""
    from training.network.model import GeoLocalizationNet  # late: torch takes seconds to import

    network = model.network
    if not isinstance(network, GeoLocalizationNet):
        raise UserError(f"{model.path} is an exported model. Give the model that it was exported from.")
    if settings.format == ONNX:
        return f": {_write_onnx(model, network, folder, settings)}"
    if settings.format == HF:
        from export.hf_folder import evaluations_of, write_hf_folder

        write_hf_folder(model, network, folder, evaluations_of(model, artifacts))
    elif settings.format == SAFETENSORS:
        from training.network.safetensors_file import write_safetensors

        write_safetensors(network, folder / SAFETENSORS_FILE)
    else:
        shutil.copyfile(model.path, folder / MODEL_FILE)
    return ""


def _write_onnx(model: TrainedModel, network: "GeoLocalizationNet", folder: Path, settings: ExportSettings) -> str:
    from export.onnx_file import metadata_of, write_onnx
    from export.parity import check_parity

    photos = settings.check_photos or _training_images(model)
    network.eval()
    with model.path.open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    metadata = metadata_of(network, weights, settings.onnx_input, LICENCE)
    write_onnx(network, folder / ONNX_FILE, settings.onnx_input, metadata)
    parity = check_parity(network, folder / ONNX_FILE, photos, settings.onnx_input)
    logger.info("%s: %s", ONNX_FILE, parity)
    return str(parity)


def _training_images(model: TrainedModel) -> Path:
    folder = model.path.parent
    images = read_recipe(folder).get("summary", {}).get(IMAGES_FOLDER) if is_published(folder) else None
    if images is None or not Path(images).is_dir():
        raise UserError(f"{model.path}: its training images are unknown or gone. Give --check-photos FOLDER.")
    return Path(images)
