"""Write a model as ONNX, and check the file: against torch on photos, and on a test set in reduced precision."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl, as_images_folder, is_missing
from data_manifest.store.recipe import is_published, read_recipe
from evaluation.descriptors.trained_model import TrainedModel
from export.onnx_file import metadata_of, write_onnx
from export.parity import check_parity
from export.recall_lost import find_unchanged, measure_recall_lost
from export.reduced_precision import reduce_precision
from export.settings import FP32, ExportSettings
from training.network.model import GeoLocalizationNet
from training.network.settings import ONNX_FILE

IMAGES_FOLDER = "images_folder"  # in a training's summary
LICENCE = "The weights derive from the training images and the initial weights: check the licences of both."
logger = logging.getLogger(__name__)


def export_onnx(
    model: TrainedModel,
    network: GeoLocalizationNet,
    folder: Path,
    settings: ExportSettings,
    artifacts: Path,
    evaluations: Sequence[Path],
) -> str:
    """Write `model.onnx`, and return how it compares with the model.

    Args:
        model: The model.
        network: Its network.
        folder: Where to write.
        settings: Input type, precision, and photos to compare on.
        artifacts: Folder of all artifacts.
        evaluations: The evaluation to repeat in reduced precision, if there is one.

    Raises:
        UserError: There are no photos, the descriptors differ, or the images of the evaluation are gone or changed.
    """
    photos = settings.check_photos or _training_images(model)
    file, precision = folder / ONNX_FILE, settings.onnx_precision
    test_sets = [find_unchanged(each, artifacts) for each in evaluations]
    network.eval()
    with model.path.open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    metadata = metadata_of(network, digest, settings.onnx_input, LICENCE)
    if precision != FP32:
        metadata["precision"] = precision
    write_onnx(network, file, settings.onnx_input, metadata)
    compared = str(check_parity(network, file, photos, settings.onnx_input))
    if precision != FP32:
        similarity = reduce_precision(network, file, photos, settings.onnx_input, precision)
        compared = f"{precision}: {similarity}"
        compared = "; ".join([compared, *(measure_recall_lost(file, each) for each in test_sets)])
    logger.info("%s: %s", ONNX_FILE, compared)
    if precision != FP32 and not evaluations:
        logger.info(
            "The recall lost by %s was not measured: %s has no evaluation in fp32 by exact search in %s. Run "
            "`cosplace evaluate` on it, then this again.",
            *(precision, model.path, artifacts),
        )
    return compared


def _training_images(model: TrainedModel) -> ImagesFolder:
    training = model.path.parent
    recorded = read_recipe(training).get("summary", {}).get(IMAGES_FOLDER) if is_published(training) else None
    images = recorded and as_images_folder(recorded)
    if not images or is_missing(images):
        raise UserError(f"{model.path}: its training images are unknown or gone. Give --check-photos FOLDER.")
    if isinstance(images, ImagesUrl) and not images.can_list:
        raise UserError(f"{images}: web servers do not list the training images. Give --check-photos FOLDER.")
    return images
