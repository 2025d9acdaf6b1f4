"""Export a trained model, and publish it as an artifact."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.images.file_states import stat_file
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe, digest_of, is_published, read_recipe
from evaluation.descriptors.trained_model import TrainedModel
from export.evaluations import evaluation_to_repeat, evaluations_of
from export.settings import FP32, HF, ONNX, SAFETENSORS, ExportSettings
from training.network.settings import MODEL_FILE, SAFETENSORS_FILE

STAGE, VERSION = "export", 1  # raise VERSION when equal models give other files


def export_recipe(model: TrainedModel, artifacts: Path, settings: ExportSettings) -> Recipe:
    """Return the recipe of an export; its name is that of the model's data set, or of its file."""
    return _recipe(model, settings, _evaluations(model, artifacts, settings))


def _recipe(model: TrainedModel, settings: ExportSettings, evaluations: Sequence[Path]) -> Recipe:
    published = is_published(model.path.parent)
    name = str(read_recipe(model.path.parent)["name"]) if published else model.path.stem
    more = {"onnx_input": settings.onnx_input} if settings.format == ONNX else {}
    if settings.onnx_precision != FP32:
        more["onnx_precision"] = settings.onnx_precision
    inputs: dict[str, Any] = {"evaluations": [each.name for each in evaluations]} if evaluations else {}
    if settings.format == ONNX and settings.check_photos is not None:  # int8 is scaled to them
        inputs["check_photos"] = _digest_of_photos(settings.check_photos)
    return model.digests.recipe(STAGE, name, VERSION, {"format": settings.format, **more}, inputs)


def _digest_of_photos(folder: ImagesFolder) -> str:
    """Return a digest of the names, sizes and times of photos; raises UserError if there is none."""
    from evaluation.localization.find_photos import find_photos  # late: imports Pillow

    photos = find_photos([folder])
    paths = [os.path.relpath(str(photo), str(folder)) for photo in photos]
    if isinstance(folder, ImagesUrl):
        from data_manifest.images.object_listing import object_states  # needs an optional package

        states = object_states(folder, paths)
    else:
        states = [stat_file(str(photo)) for photo in photos]
    return digest_of([[path, *state] for path, state in zip(paths, states, strict=True)])


def _evaluations(model: TrainedModel, artifacts: Path, settings: ExportSettings) -> list[Path]:
    """Return the evaluations of a model that an export states, or measures the recall lost on."""
    if settings.format == HF:
        return evaluations_of(model, artifacts)
    if settings.onnx_precision != FP32:
        return evaluation_to_repeat(model, artifacts, settings.evaluation)
    return []


def export_model(model: TrainedModel, artifacts: Path, settings: ExportSettings) -> Path:
    """Write a model in another format, and return the published folder.

    An ONNX file is compared with torch on photos, and is published only if the descriptors agree.

    Raises:
        UserError: The model cannot be read, there are no photos to check it on, or the descriptors differ.
    """
    evaluations = _evaluations(model, artifacts, settings)  # once: another one may be published during the export
    recipe = _recipe(model, settings, evaluations)
    if published := find_published(artifacts, recipe):
        return published
    summary: dict[str, Any] = {}
    with publishing(artifacts, recipe, summary) as staging:
        more = _write(model, artifacts, staging, settings, evaluations)
        summary["made"] = f"{settings.format} of {model.backbone}-{model.fc_output_dim}{more}"
    return recipe.folder(artifacts)


def _write(
    model: TrainedModel, artifacts: Path, folder: Path, settings: ExportSettings, evaluations: Sequence[Path]
) -> str:
    """Write the files of a format, and return what else is to be said about them."""
    from training.network.model import GeoLocalizationNet  # late: torch takes seconds to import

    network = model.network
    if not isinstance(network, GeoLocalizationNet):
        raise UserError(f"{model.path} is an exported model. Give the model that it was exported from.")
    if settings.format == ONNX:
        from export.export_onnx import export_onnx

        return f": {export_onnx(model, network, folder, settings, artifacts, evaluations)}"
    if settings.format == HF:
        from export.hf_folder import write_hf_folder

        write_hf_folder(model, network, folder, evaluations)
    elif settings.format == SAFETENSORS:
        from training.network.safetensors_file import write_safetensors

        write_safetensors(network, folder / SAFETENSORS_FILE)
    else:
        shutil.copyfile(model.path, folder / MODEL_FILE)
    return ""
